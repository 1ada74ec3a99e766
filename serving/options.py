"""Reads and checks the options of the server's command line."""

import argparse
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.publish import versions as published_versions
from rejoinder.serving.limits import Limits
from rejoinder.serving.model_options import ModelOptions
from rejoinder.serving.parser import KEYS_VARIABLE

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ORIGIN = re.compile(r"https?://[^/\s]+")
_URL = re.compile(r"https?://[^/\s]+(/\S*)?")
_LABEL = re.compile(r"([^:=/]+):([^:=/]+)=(\d{1,18})")


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
        models[name] = ModelOptions(name, _folder(base), keep, cache=args.cache_dir)
    for text in args.label:
        match = _LABEL.fullmatch(text)
        if match is None or match[1] not in models:
            raise UserError(f"--label {text}: write NAME:LABEL=VERSION with NAME from --model")
        models[match[1]].labels[match[2]] = int(match[3])
    for model in models.values():
        _check_versions(model)
    return list(models.values())


def poll_seconds(args: argparse.Namespace, models: Sequence[ModelOptions]) -> float:
    """Returns the seconds between two looks for new versions; each lists a bucket once."""
    if args.poll_seconds is not None:
        return float(args.poll_seconds)
    return 2.0 if all(storage.is_local(model.base) for model in models) else 30.0


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


def _folder(path: str) -> str:
    """Returns a folder without slashes at its end."""
    return str(Path(path)) if storage.is_local(path) else path.rstrip("/")


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


def allowed_hosts(host: str, further: Sequence[str]) -> frozenset[str]:
    """Returns the names that a request may give in its `Host`, in lower case; empty allows all.

    Args:
        host: The address that the server listens on.
        further: Names given by the user.
    """
    if not further and not is_loopback(host):
        return frozenset()
    return frozenset({"localhost", "127.0.0.1", "::1", host.lower(), *map(str.lower, further)})


def read_origins(texts: Sequence[str]) -> list[str]:
    """Returns the web origins.

    Raises:
        UserError: One of them is not an origin.
    """
    for text in texts:
        if text != "*" and not _ORIGIN.fullmatch(text):
            raise UserError(
                f"--cors-origin {text}: write scheme://host[:port] without a path, or *"
            )
    return list(texts)


def check_url(flag: str, text: str) -> None:
    """Checks an option that is the URL of another server.

    Raises:
        UserError: It is not one.
    """
    if not _URL.fullmatch(text):
        raise UserError(f"{flag} {text}: write http://host:port or https://host[:port]")


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
