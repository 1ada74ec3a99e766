"""Applies configuration files and `--params-override`; an unknown key is an error."""

import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any

from official.modeling.hyperparams import OneOfConfig, base_config

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.trainer.settings.values import (
    is_assignments,
    parse_assignments,
    parse_list,
    parse_yaml,
)


def load_override(text: str) -> dict[str, Any]:
    """Reads `--params-override`: YAML or JSON, `a.b=1,c=2`, or the path of a YAML file.

    Raises:
        UserError: The text is none of these.
    """
    if is_assignments(text):
        return parse_assignments(text, "--params-override")
    values = parse_yaml(text, "--params-override")
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
    values = parse_yaml(text, path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: must be a YAML mapping, got {type(values).__name__}")
    return values


def apply(config: base_config.Config, values: Mapping[str, Any], source: str) -> None:
    """Overrides `config` in place.

    Raises:
        UserError: A key does not exist (the message names the nearest one) or
            its value has the wrong type.
    """
    try:
        converted = _convert_group(config, values, "")
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    config.override(converted, is_strict=True)


def key_types(config: base_config.Config) -> dict[str, Any]:
    """Returns the keys of a group and their type annotations."""
    hints = typing.get_type_hints(type(config))
    return {key: hints.get(key) for key in vars(config) if key not in config.RESERVED_ATTR}


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Returns the types of a union, or the type itself."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def optional_group(hint: Any) -> type[base_config.Config] | None:
    """Returns the class of a group of keys that may be absent, or None for another type."""
    for kind in alternatives(hint):
        if isinstance(kind, type) and issubclass(kind, base_config.Config):
            return kind
    return None


def _convert_group(
    config: base_config.Config, values: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """Returns the values with the types of their keys."""
    known = key_types(config)
    result: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{prefix}{key}"
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.4)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            raise UserError(f"unknown key {path!r}; {hint}")
        current, group = getattr(config, key), optional_group(known[key])
        if current is None and group:
            current = group()
        if isinstance(current, base_config.Config):
            optional = type(None) in alternatives(known[key])
            if isinstance(value, Mapping):
                result[key] = _convert_group(current, value, f"{path}.")
            elif value is None and optional:
                result[key] = None
            elif value is not None:  # an empty group changes nothing
                raise UserError(f"{path} is a group of keys, got {value!r}")
            continue
        if isinstance(config, OneOfConfig) and key == "type" and value is not None:
            kinds = [name for name in known if name != "type"]
            if value not in kinds:
                near = difflib.get_close_matches(str(value), kinds, n=1, cutoff=0)
                raise UserError(f"{path}: no such choice {value!r}; did you mean {near[0]!r}?")
        result[key] = _convert(path, known[key], value)
    return result


def _convert(path: str, hint: Any, value: Any) -> Any:
    """Returns the value of one key with the type of its annotation."""
    kinds = alternatives(hint)
    if value is None:
        if type(None) in kinds:
            return None
        if str in kinds:  # `key=` is an empty text
            return ""
    for kind in kinds:
        converted = _as_kind(path, kind, value)
        if converted is not None:
            return converted
    wanted = getattr(kinds[0], "__name__", str(kinds[0]))
    raise UserError(f"{path} must be of type {wanted}, got {value!r} ({type(value).__name__})")


def _as_kind(path: str, kind: Any, value: Any) -> Any:
    """Returns the value as one type, or None if it is not of that type."""
    if typing.get_origin(kind) is list:
        return _as_list(path, kind, value)
    if isinstance(value, bool) or kind is bool:
        return value if kind is bool and isinstance(value, bool) else None
    if kind is float and isinstance(value, int):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e6
    return value if isinstance(value, kind) else None


def _as_list(path: str, kind: Any, value: Any) -> list[Any] | None:
    """Returns a list; `256,128` and a single value are lists too."""
    (element,) = typing.get_args(kind)
    if isinstance(value, str):
        value = parse_list(value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list):
        return None
    return [_convert(f"{path}[{index}]", element, item) for index, item in enumerate(value)]
