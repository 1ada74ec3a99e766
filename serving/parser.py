"""The parser of the server's command line."""

import argparse
import os
from dataclasses import fields

from rejoinder.serving.engine_options import ENGINES, PRECISIONS
from rejoinder.serving.limits import Limits
from rejoinder.serving.logs import FORMATS

KEYS_VARIABLE = "REJOINDER_API_KEYS"


def make_parser(description: str) -> argparse.ArgumentParser:
    """Returns the parser; its help begins with `description`."""
    parser = argparse.ArgumentParser(
        prog="rejoinder serve",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = parser.add_argument_group("models")
    models.add_argument(
        "--model",
        required=True,
        action="append",
        metavar="NAME=BASE",
        help="name of a model and its folder of versions, local or in a bucket (gs://, s3://); "
        "may be repeated",
    )
    models.add_argument(
        "--versions",
        default="latest",
        metavar="latest|N|all",
        help="serve the newest version, the N newest, or all (default: latest)",
    )
    models.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME:LABEL=VERSION",
        help="label of a version, which stays loaded; may be repeated",
    )
    models.add_argument(
        "--poll-seconds",
        type=float,
        metavar="N",
        help="seconds between two looks for new versions (default: 2, in a bucket 30)",
    )
    models.add_argument(
        "--cache-dir",
        default=os.path.join(os.path.expanduser("~"), ".cache", "rejoinder", "versions"),
        metavar="DIR",
        help="local folder for copies of versions in a bucket "
        "(default: ~/.cache/rejoinder/versions)",
    )
    models.add_argument(
        "--index",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="name and folder of an index of `rejoinder search`, for /search and the page; "
        "may be repeated",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--host", default="127.0.0.1", help="address (default: 127.0.0.1, this machine only)"
    )
    network.add_argument(
        "--port", type=int, default=8501, metavar="N", help="HTTP port; 0 is any (default: 8501)"
    )
    network.add_argument(
        "--grpc-port", type=int, metavar="N", help="gRPC port; 0 is any (default: no gRPC)"
    )
    network.add_argument(
        "--api-key-file",
        metavar="FILE",
        help=f"file of bearer keys, one per line (or set {KEYS_VARIABLE}, comma-separated)",
    )
    network.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name of this server in the Host of requests; may be repeated (default: localhost "
        "where only this machine can reach the server, otherwise any)",
    )
    network.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="origin of web pages whose scripts may call this server, as in "
        "https://example.org, or * for all; may be repeated (default: none)",
    )
    network.add_argument(
        "--drain-delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="after SIGTERM, report not ready on /ready for this long before closing the port",
    )
    network.add_argument(
        "--access-log",
        action="store_true",
        help="log the endpoint, status and time of each request",
    )
    network.add_argument(
        "--log-format",
        choices=FORMATS,
        default="text",
        help="json writes one object a line, with request ids (default: text)",
    )
    network.add_argument(
        "--otlp-endpoint",
        metavar="URL",
        help="OTLP/HTTP receiver of OpenTelemetry traces, as in http://localhost:4318 "
        "(default: no traces)",
    )
    compute = parser.add_argument_group("compute")
    compute.add_argument(
        "--engine",
        choices=ENGINES,
        default="tensorflow",
        help="library that computes embeddings; openvino needs an export with --openvino or "
        "--int8 (default: tensorflow)",
    )
    compute.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="auto is bfloat16 where the processor has such instructions (default: auto)",
    )
    compute.add_argument(
        "--workers", type=int, default=1, metavar="N", help="concurrent batches (default: 1)"
    )
    compute.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of one batch (default: all cores)",
    )
    limits = parser.add_argument_group("limits")
    for field in fields(Limits):
        kind = float if isinstance(field.default, float) else int
        limits.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=kind,
            default=field.default,
            metavar="N",
            help=f"{field.metadata['help']} (default: {field.default:,})",
        )
    return parser
