"""The server's command line: its parser, and the checks of its options."""

import argparse
import ipaddress
import os
import re
from dataclasses import fields
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.publish import versions as published_versions
from rejoinder.serving.limits import Limits
from rejoinder.serving.model_options import ModelOptions

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LABEL = re.compile(r"([^:=/]+):([^:=/]+)=(\d{1,18})")
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
        help="name of a model and its local folder of versions; may be repeated",
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
        default=2.0,
        metavar="N",
        help="seconds between two looks for new versions (default: 2)",
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
    compute = parser.add_argument_group("compute")
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


def read_keys(path: str | None) -> list[str]:
    """Returns the bearer keys of the file and of the environment.

    Raises:
        UserError: The file cannot be read or holds no key.
    """
    keys = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",")]
    if path is not None:
        try:
            lines = [line.strip() for line in storage.read_bytes(path).decode().splitlines()]
        except UserError as error:
            raise UserError(f"--api-key-file {error}") from None
        except UnicodeDecodeError as error:
            raise UserError(f"--api-key-file {path}: {error}") from None
        if not any(lines):
            raise UserError(f"--api-key-file {path}: holds no key; write one per line")
        keys += lines
    return [key for key in keys if key]


def read_models(args: argparse.Namespace) -> list[ModelOptions]:
    """Returns the models to serve.

    Raises:
        UserError: An option is malformed, or a model has no version.
    """
    keep = _kept_versions(args.versions)
    models: dict[str, ModelOptions] = {}
    for text in args.model:
        name, separator, base = text.partition("=")
        if not separator or not _NAME.fullmatch(name) or not base:
            raise UserError(f"--model {text}: write NAME=BASE, as in reddit=exports/reddit")
        if name in models:
            raise UserError(f"--model {text}: the name {name} is given twice")
        if not storage.is_local(base):
            raise UserError(
                f"--model {text}: versions are loaded from a local folder; "
                "copy the version folder to this machine"
            )
        models[name] = ModelOptions(name, Path(base), keep)
    for text in args.label:
        match = _LABEL.fullmatch(text)
        if match is None or match[1] not in models:
            raise UserError(f"--label {text}: write NAME:LABEL=VERSION with NAME from --model")
        models[match[1]].labels[match[2]] = int(match[3])
    for model in models.values():
        _check_versions(model)
    return list(models.values())


def read_indexes(args: argparse.Namespace) -> dict[str, str]:
    """Returns the folders of the indexes by name.

    Raises:
        UserError: An option is malformed, or a name is given twice.
    """
    indexes = {}
    for text in args.index:
        name, separator, folder = text.partition("=")
        if not separator or not _NAME.fullmatch(name) or not folder or name in indexes:
            raise UserError(f"--index {text}: write NAME=DIR, each name once")
        indexes[name] = folder
    return indexes


def _kept_versions(text: str) -> int | None:
    """Returns the number of versions to serve, None for all."""
    if text == "all":
        return None
    if text == "latest":
        return 1
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise UserError(f"--versions {text}: give latest, a positive number, or all")


def _check_versions(model: ModelOptions) -> None:
    """Reports missing versions at once, before any model is loaded."""
    present = published_versions(model.base)
    if not present:
        raise UserError(
            f"{model.base}: holds no version of model {model.name}; "
            "a version is a folder named by a number, written by `rejoinder export`"
        )
    for label, number in model.labels.items():
        if number not in present:
            raise UserError(
                f"label {label} of model {model.name}: there is no version {number}; "
                f"there are: {present}"
            )


def is_loopback(host: str) -> bool:
    """Returns whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_limits(args: argparse.Namespace) -> Limits:
    """Returns the limits.

    Raises:
        UserError: A limit is not positive.
    """
    values = {field.name: getattr(args, field.name) for field in fields(Limits)}
    for name, value in values.items():
        if value <= 0:
            raise UserError(f"--{name.replace('_', '-')} must be positive, got {value}")
    return Limits(**values)
