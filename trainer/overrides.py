"""Applies configuration files and `--params-override`; an unknown key is an error."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from official.modeling.hyperparams import OneOfConfig, base_config

from rejoinder import storage
from rejoinder.errors import UserError


def load_override(text: str) -> dict[str, Any]:
    """Reads `--params-override`: YAML or JSON, `a.b=1,c=2`, or the path of a YAML file.

    Raises:
        UserError: The text is none of these.
    """
    from official.modeling.hyperparams import params_dict

    try:
        values = yaml.safe_load(params_dict.nested_csv_str_to_json_str(text))
    except ValueError:
        values = _parse(text, "--params-override")
    if isinstance(values, str):
        return load_file(values)
    if not isinstance(values, dict):
        raise UserError(f"--params-override: must contain keys and values, got {text!r}")
    return values


def load_file(path: str) -> dict[str, Any]:
    """Reads a YAML file of keys and values.

    Raises:
        UserError: There is no such file, or it is not a YAML mapping.
    """
    if not storage.exists(path):
        raise UserError(f"{path}: configuration file does not exist")
    try:
        text = storage.read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error})") from error
    values = _parse(text, path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a YAML mapping, got {type(values).__name__}")
    return values


def apply(config: base_config.Config, values: Mapping[str, Any], source: str) -> None:
    """Overrides `config` in place.

    Raises:
        UserError: A key does not exist (the message names the nearest one) or
            its value has the wrong type.
    """
    for problem in _problems(config, values, ""):
        raise UserError(f"{source}: {problem}")
    config.override(_with_floats(config, values), is_strict=True)


def _with_floats(config: base_config.Config, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values with `20` as 20.0 where the key holds a float."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        current = getattr(config, key)
        if isinstance(current, base_config.Config) and isinstance(value, Mapping):
            value = _with_floats(current, value)
        elif isinstance(current, float) and isinstance(value, int):
            value = float(value)
        result[key] = value
    return result


def _parse(text: str, source: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise UserError(f"{source}: not YAML ({' '.join(str(error).split())})") from error


def _problems(config: base_config.Config, values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    known = [key for key in vars(config) if key not in config.RESERVED_ATTR]
    for key, value in values.items():
        path = f"{prefix}{key}"
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.4)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            yield f"unknown key {path!r}; {hint}"
            continue
        current = getattr(config, key)
        if isinstance(current, base_config.Config):
            if isinstance(value, Mapping):
                yield from _problems(current, value, f"{path}.")
            elif value is not None:
                yield f"{path} is a group of keys, got {value!r}"
        elif isinstance(config, OneOfConfig) and key == "type":
            kinds = [name for name in known if name != "type"]
            if value is not None and value not in kinds:
                near = difflib.get_close_matches(str(value), kinds, n=1, cutoff=0)
                yield f"{path}: no such choice {value!r}; did you mean {near[0]!r}?"
        else:
            yield from _type_problem(path, current, value)


def _type_problem(path: str, current: Any, value: Any) -> Iterator[str]:
    if current is None or value is None:
        return
    fits: bool
    if isinstance(current, bool) or isinstance(value, bool):
        fits = isinstance(current, bool) and isinstance(value, bool)
    elif isinstance(current, float):
        fits = isinstance(value, (int, float))
    elif isinstance(current, Sequence) and not isinstance(current, str):
        fits = isinstance(value, Sequence) and not isinstance(value, str)
    else:
        fits = isinstance(value, type(current))
    if not fits:
        wanted = type(current).__name__
        yield f"{path} must be of type {wanted}, got {value!r} ({type(value).__name__})"


class _Loader(yaml.SafeLoader):
    """Reads YAML 1.2 floats: `2e-5` is a number, not a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)
