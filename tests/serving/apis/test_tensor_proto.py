"""TensorProto and arrays, beside TensorFlow's own functions."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto

from rejoinder.serving.apis.tensor_proto import fill, to_array


@pytest.mark.parametrize(
    ("dtype", "values", "shape"),
    [
        (types_pb2.DT_STRING, {"string_val": [b"a", b"b"]}, [2]),
        (types_pb2.DT_STRING, {"string_val": [b"a"]}, [3]),
        (types_pb2.DT_STRING, {"string_val": []}, [0]),
        (types_pb2.DT_INT32, {"int_val": [1, 2, 3, 4]}, [2, 2]),
        (types_pb2.DT_INT32, {"int_val": [7]}, [2, 2]),
        (types_pb2.DT_INT32, {"int_val": []}, [2]),
        (types_pb2.DT_INT32, {"tensor_content": np.arange(4, dtype=np.int32).tobytes()}, [4]),
        (types_pb2.DT_FLOAT, {"float_val": [0.5]}, []),
        (types_pb2.DT_BOOL, {"bool_val": [True, False]}, [2, 1]),
    ],
)
def test_a_tensor_is_read_as_tensorflow_reads_it(dtype, values, shape):
    tensor = TensorProto(dtype=dtype, **values)
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    expected = tf.make_ndarray(tensor)
    found = to_array(tensor)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (types_pb2.DT_INT32, {"int_val": [1, 2, 3]}),
        (types_pb2.DT_INT32, {"tensor_content": b"abc"}),
        (types_pb2.DT_STRING, {"tensor_content": b"abc"}),
        (types_pb2.DT_RESOURCE, {}),
    ],
)
def test_a_malformed_tensor_is_an_error(dtype, values):
    tensor = TensorProto(dtype=dtype, **values)
    tensor.tensor_shape.dim.add(size=2)
    with pytest.raises((ValueError, TypeError)):
        to_array(tensor)


def test_outputs_are_written_in_typed_fields():
    for array in (np.eye(2, dtype=np.float32), np.array([1, 2], np.int32), np.array([True])):
        tensor = TensorProto()
        fill(tensor, array)
        assert not tensor.tensor_content
        np.testing.assert_array_equal(to_array(tensor), array)
