"""The server's command line."""

import argparse
import ipaddress
import os
import re
from dataclasses import fields
from pathlib import Path

from rejoinder.errors import UserError
from rejoinder.models.saved_model.publish import versions as published_versions
from rejoinder.serving.engine.model import Model
from rejoinder.serving.limits import Limits

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LABEL = re.compile(r"([^:=/]+):([^:=/]+)=(\d{1,18})")
KEYS_VARIABLE = "REJOINDER_API_KEYS"


def make_parser(description: str) -> argparse.ArgumentParser:
    """Returns the parser; `description` heads its help."""
    parser = argparse.ArgumentParser(
        prog="rejoinder serve",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = parser.add_argument_group("Models")
    models.add_argument(
        "--model",
        required=True,
        action="append",
        metavar="NAME=BASE",
        help="a model's name and its folder of versions; may be repeated",
    )
    models.add_argument(
        "--versions",
        default="latest",
        metavar="latest|N|all",
        help="answer with the newest version, the N newest, or all (default: latest)",
    )
    models.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME:LABEL=VERSION",
        help="a label for a version, which stays loaded; may be repeated",
    )
    models.add_argument(
        "--poll-seconds", type=float, default=2.0, help="how often to look for new versions"
    )
    models.add_argument(
        "--index",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="an index of `rejoinder search` for /search and the page; may be repeated",
    )
    network = parser.add_argument_group("Network")
    network.add_argument("--host", default="127.0.0.1", help="address (default: this machine only)")
    network.add_argument("--port", type=int, default=8501, help="HTTP port; 0: any (default: 8501)")
    network.add_argument("--grpc-port", type=int, help="gRPC port; 0: any (default: no gRPC)")
    network.add_argument(
        "--api-key-file",
        type=Path,
        help=f"file of bearer keys, one per line (or set {KEYS_VARIABLE}, comma-separated)",
    )
    network.add_argument(
        "--drain-delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="after SIGTERM, answer /ready with 503 this long before refusing connections",
    )
    compute = parser.add_argument_group("Compute")
    compute.add_argument(
        "--workers", type=int, default=1, help="batches that run at once (default: 1)"
    )
    compute.add_argument(
        "--threads", type=int, default=0, help="threads for one batch (default: all cores)"
    )
    limits = parser.add_argument_group("Limits")
    for field in fields(Limits):
        kind = float if isinstance(field.default, float) else int
        limits.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=kind,
            default=field.default,
            metavar="N",
            help=f"default: {field.default}",
        )
    parser.add_argument(
        "--access-log", action="store_true", help="log each request: endpoint, status, time"
    )
    return parser


def read_keys(path: Path | None) -> list[str]:
    """Returns the bearer keys of the file and of the environment.

    Raises:
        UserError: the file cannot be read or holds no key.
    """
    keys = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",")]
    if path is not None:
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--api-key-file {path}: {error}") from None
        if not any(lines):
            raise UserError(f"--api-key-file {path}: holds no key; write one per line")
        keys += lines
    return [key for key in keys if key]


def read_models(args: argparse.Namespace) -> list[Model]:
    """Returns the models to serve; raises UserError if an option is malformed."""
    if args.versions == "all":
        keep = None
    elif args.versions == "latest":
        keep = 1
    elif args.versions.isdigit() and int(args.versions) > 0:
        keep = int(args.versions)
    else:
        raise UserError(f"--versions {args.versions}: give latest, a positive number, or all")
    models: dict[str, Model] = {}
    for text in args.model:
        name, separator, base = text.partition("=")
        if not separator or not _NAME.fullmatch(name) or not base:
            raise UserError(f"--model {text}: write NAME=BASE, as in reddit=exports/reddit")
        if name in models:
            raise UserError(f"--model {text}: the name {name} is given twice")
        models[name] = Model(name, Path(base), keep)
    for text in args.label:
        match = _LABEL.fullmatch(text)
        if match is None or match[1] not in models:
            raise UserError(f"--label {text}: write NAME:LABEL=VERSION with NAME from --model")
        models[match[1]].labels[match[2]] = int(match[3])
    for model in models.values():
        _check_versions(model)
    return list(models.values())


def read_indexes(args: argparse.Namespace) -> dict[str, str]:
    """Returns the folders of the indexes by name; raises UserError if one is malformed."""
    indexes = {}
    for text in args.index:
        name, separator, folder = text.partition("=")
        if not separator or not _NAME.fullmatch(name) or not folder or name in indexes:
            raise UserError(f"--index {text}: write NAME=DIR, each name once")
        indexes[name] = folder
    return indexes


def _check_versions(model: Model) -> None:
    """Tells at once what would only be found after loading everything else."""
    present = published_versions(model.base)
    if not present:
        raise UserError(
            f"{model.base}: holds no version of model {model.name}; "
            "a version is a folder named by a number, written by `make export`"
        )
    for label, number in model.labels.items():
        if number not in present:
            raise UserError(
                f"label {label} of model {model.name}: there is no version {number}; "
                f"there are: {present}"
            )


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_limits(args: argparse.Namespace) -> Limits:
    """Returns the limits; raises UserError unless all are positive."""
    values = {field.name: getattr(args, field.name) for field in fields(Limits)}
    for name, value in values.items():
        if value <= 0:
            raise UserError(f"--{name.replace('_', '-')} must be positive, got {value}")
    return Limits(**values)
