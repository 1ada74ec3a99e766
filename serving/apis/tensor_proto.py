"""Converts between TensorProto and arrays, in the types of the signatures, without TensorFlow."""

import math
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

# Type → dtype of an array, the field of TensorProto with its values, and the default value.
_TYPES: dict[int, tuple[Any, str, Any]] = {
    types_pb2.DT_STRING: (np.dtype(object), "string_val", b""),
    types_pb2.DT_INT32: (np.dtype(np.int32), "int_val", 0),
    types_pb2.DT_FLOAT: (np.dtype(np.float32), "float_val", 0.0),
    types_pb2.DT_BOOL: (np.dtype(np.bool_), "bool_val", False),
}
_NUMBERS = {dtype: number for number, (dtype, _, _) in _TYPES.items()}


def to_array(tensor: Any) -> np.ndarray:
    """Returns the array of a TensorProto as `tf.make_ndarray` does.

    Missing values at the end repeat the last one; without values they are 0 or b"".

    Args:
        tensor: A TensorProto; its shape has been checked.

    Raises:
        ValueError: Its values do not fit its shape.
        TypeError: No signature has its type.
    """
    if tensor.dtype not in _TYPES:
        raise TypeError(f"unsupported type {tensor.dtype}")
    dtype, field, default = _TYPES[tensor.dtype]
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).copy().reshape(shape)
    values = list(getattr(tensor, field))
    missing = math.prod(shape) - len(values)
    if missing > 0:
        values += [values[-1] if values else default] * missing
    return np.array(values, dtype).reshape(shape)


def fill(tensor: Any, array: np.ndarray) -> None:
    """Writes an array to an empty TensorProto as TensorFlow Serving does by default.

    It fills the typed fields, which clients without TensorFlow read, not `tensor_content`.
    """
    tensor.dtype = _NUMBERS[array.dtype]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    getattr(tensor, _TYPES[tensor.dtype][1]).extend(array.ravel().tolist())
