"""Converts one JSON value to an array of a given type, with TensorFlow Serving's checks."""

import base64
import binascii
import math
from typing import Any

import numpy as np
import orjson
from tensorflow.core.framework import types_pb2

from rejoinder.serving.errors import invalid

_QUOTED_CHARACTERS = 200
# Parsing blocks the event loop, so the size of a value is bounded: twice the ids of the
# largest request that the default limits accept.
_MAX_VALUES = 2**18
_MAX_RANK = 8
_INTEGERS = {types_pb2.DT_INT32: (-(2**31), 2**31 - 1), types_pb2.DT_INT64: (-(2**63), 2**63 - 1)}
_DTYPES: dict[int, Any] = {
    types_pb2.DT_STRING: object,
    types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_FLOAT: np.float32,
    types_pb2.DT_BOOL: np.bool_,
}


def to_array(value: Any, dtype: int) -> np.ndarray:
    """Converts a scalar or a nested list to an array of the same nesting.

    Args:
        value: Parsed JSON; the lists of one level must have equal lengths.
        dtype: DataType number; strings become bytes in an object array.

    Returns:
        The array; its rank is the depth of the nesting.

    Raises:
        ServingError: The value is ragged, too large, or not of this type.
    """
    shape: list[int] = []
    probe = value
    while isinstance(probe, list):
        shape.append(len(probe))
        if not probe:
            break
        if len(shape) > _MAX_RANK:
            raise invalid(f"lists are nested more than {_MAX_RANK} deep")
        probe = probe[0]
    if math.prod(shape) > _MAX_VALUES:
        raise invalid(f"a tensor of shape {shape} is larger than {_MAX_VALUES} values")
    flat: list[Any] = []
    _flatten(value, 0, shape, dtype, flat)
    array = np.empty(len(flat), _DTYPES[dtype])
    array[:] = flat
    return array.reshape(shape)


def _flatten(value: Any, level: int, shape: list[int], dtype: int, flat: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {quote(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {len(shape)}"
            )
        flat.append(_scalar(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for item in value:
        _flatten(item, level + 1, shape, dtype, flat)


def _scalar(value: Any, dtype: int) -> Any:
    if dtype == types_pb2.DT_STRING:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict):
            return _decode_base64(value)
    elif dtype == types_pb2.DT_BOOL:
        if isinstance(value, bool):
            return value
    elif dtype in _INTEGERS:
        low, high = _INTEGERS[dtype]
        if type(value) is int and low <= value <= high:
            return value
    elif type(value) in (int, float):
        return value
    raise invalid(
        f"JSON Value: {quote(value)} Type: {_json_type(value)} is not of expected type: "
        f"{types_pb2.DataType.Name(dtype).removeprefix('DT_').lower()}"
    )


def _decode_base64(value: dict[str, Any]) -> bytes:
    if not is_base64(value):
        raise invalid(f"JSON Value: {quote(value)} not formatted correctly for base64 data")
    text = value["b64"]
    try:
        # TensorFlow Serving's decoder accepts missing padding.
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    """Returns whether a value is `{"b64": "…"}`, the encoding of bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _json_type(value: Any) -> str:
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    names = {dict: "Object", list: "Array", str: "String"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "Number")


def quote(value: Any) -> str:
    """Returns a value for a message: indented JSON, truncated if long."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONEncodeError:  # nested too deeply to encode
        return "…"
    return text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "…"
