"""Rewrites a converted encoder into operations that OpenVINO runs as one kernel each.

OpenVINO recognizes attention and normalization by their form. The converter's form, one matrix
product for query, key and value and a bias whose heads are last, hides both from it. The
rewritten graph computes the same in half as many kernels.
"""

from typing import Any

import numpy as np

_HEADS_FIRST = np.array([0, 2, 1, 3], np.int64)


def fuse(model: Any) -> None:
    """Rewrites what it recognizes, and leaves the rest as it is.

    Args:
        model: An `openvino.Model` from a TensorFlow function, before quantization.
    """
    nodes = model.get_ordered_ops()
    for node in nodes:
        if node.get_type_name() == "Power":
            _fuse_normalization(node)
    biases: dict[str, Any] = {}
    for node in nodes:
        if node.get_type_name() == "Softmax":
            _fuse_attention(node, biases)
    model.validate_nodes_and_infer_types()


def _fuse_normalization(power: Any) -> None:
    """Makes one operation of (x - mean) · (variance + epsilon)^-0.5.

    Args:
        power: The node that raises to -0.5.
    """
    from openvino import opset13

    add = _follow(power, (0, "Add"))
    centred = _follow(add, (0, "ReduceMean"), (0, "Multiply"), (0, "Subtract"))
    mean = _follow(centred, (1, "ReduceMean"))
    if mean is None or _number(power) != -0.5 or _source(mean, 0) != _source(centred, 0):
        return
    normalized = opset13.mvn(
        centred.input_value(0), _constant([-1]), True, _number(add), "inside_sqrt"
    )
    _consumer(power).output(0).replace(normalized.output(0))


def _fuse_attention(softmax: Any, biases: dict[str, Any]) -> None:
    """Gives query, key and value products of their own, and the bias its heads first.

    Args:
        softmax: The node of the weights.
        biases: The rewritten biases by the names of the old ones; all layers share one.
    """
    from openvino import opset13

    add = _follow(softmax, (0, "Transpose"), (0, "Add"))
    scaled = _follow(add, (0, "Transpose"), (0, "MatMul"), (0, "Transpose"), (0, "Multiply"))
    reshape = _follow(scaled, (0, "Squeeze"), (0, "Split"), (0, "Reshape"))
    product = _follow(reshape, (0, "Add"), (0, "MatMul"))
    shape = _follow(reshape, (1, "Concat"))
    kernel = _follow(product, (1, "Constant"))
    if kernel is None or shape is None or not product.get_attributes()["transpose_b"]:
        return
    rows, heads, size = shape.input_value(0), int(_number(shape, 3)), int(_number(shape, 4))
    weights = np.split(kernel.get_data(), 3)
    offsets = np.split(_values(reshape.input_value(0).get_node()).reshape(1, -1), 3, axis=1)
    target = opset13.concat([rows, *(_constant([n], rows) for n in (-1, heads, size))], 0)

    def part(index: int, factor: float) -> Any:
        scale = np.float32(factor)
        values = opset13.matmul(product.input_value(0), weights[index] * scale, False, True)
        values = opset13.add(values, offsets[index] * scale)
        return opset13.transpose(opset13.reshape(values, target, False), _HEADS_FIRST)

    query, key, value = part(0, _number(scaled)), part(1, 1), part(2, 1)
    old = add.input_value(1)
    bias = biases.setdefault(
        old.get_node().get_name(), opset13.transpose(old, np.array([0, 3, 1, 2], np.int64))
    )
    scores = opset13.add(opset13.matmul(query, key, False, True), bias)
    context = opset13.matmul(opset13.softmax(scores, -1), value, False, False)
    _consumer(softmax).output(0).replace(context.output(0))


def _follow(node: Any, *path: tuple[int, str]) -> Any:
    """Returns the node at the end of a path of inputs and types; None if a type differs."""
    for index, kind in path:
        if node is None:
            return None
        node = node.input_value(index).get_node()
        if node.get_type_name() != kind:
            return None
    return node


def _consumer(node: Any) -> Any:
    """Returns the only node that reads a node's output."""
    (reader,) = node.output(0).get_target_inputs()
    return reader.get_node()


def _source(node: Any, index: int) -> tuple[str, int]:
    """Returns what identifies an input's value: the name of its node and its output's index."""
    output = node.input_value(index)
    return output.get_node().get_name(), output.get_index()


def _values(node: Any, index: int = 1) -> Any:
    """Returns the values of an input that is a constant."""
    return node.input_value(index).get_node().get_data()


def _number(node: Any, index: int = 1) -> float:
    """Returns the only value of an input that is a constant."""
    return float(_values(node, index).reshape(-1)[0])


def _constant(values: list[int], like: Any = None) -> Any:
    """Returns a constant of integers, in the type of another value if there is one."""
    from openvino import opset13

    dtype = np.int64 if like is None else like.get_element_type().to_dtype()
    return opset13.constant(np.array(values, dtype))
