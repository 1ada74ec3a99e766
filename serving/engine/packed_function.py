"""Takes a function out of a SavedModel, with its weights in the type that it computes in.

A loaded SavedModel keeps the graphs of all signatures in memory, and float32 weights that
a bfloat16 function casts in every step. A function that is taken out casts its weights
once, and the rest of the SavedModel can be freed.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef

from rejoinder.serving.engine.bfloat16 import producer


def take_out(
    function: tf.types.experimental.ConcreteFunction, rewrite: Callable[[GraphDef], GraphDef]
) -> Callable[..., tf.Tensor]:
    """Returns a copy of a function that owns its weights.

    The variables that the function reads are emptied, so no other function of the
    SavedModel that reads them can run afterwards.

    Args:
        function: A function without control flow, from tensors to one tensor.
        rewrite: Changes the function's graph. Weights that the new graph only reads to cast
            them to bfloat16 are stored in bfloat16.

    Returns:
        A `tf.function` with the same arguments.
    """
    captures = function.graph.captures
    arguments = function.inputs[: len(function.inputs) - len(captures)]
    handles = {inner.op.name: outer for outer, inner in captures if outer.dtype == tf.resource}
    values = {inner.name: outer for outer, inner in captures if outer.dtype != tf.resource}
    graph = rewrite(function.graph.as_graph_def())
    read, gathered = _take_weights(graph, handles)
    # An encoder need not look at all of its arguments, and a graph takes no others.
    used = {name for node in graph.node for name in node.input}
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in arguments]

    @tf.function(input_signature=specs)
    def run(*tensors: tf.Tensor) -> tf.Tensor:
        capture = tf.compat.v1.get_default_graph().capture
        inputs = {
            **{name: capture(value) for name, value in values.items()},
            **{tensor.name: new for tensor, new in zip(arguments, tensors, strict=True)},
            **{f"{name}:0": variable.read_value() for name, variable in read.items()},
            **{f"{name}:0": capture(variable.handle) for name, variable in gathered.items()},
        }
        inputs = {name: value for name, value in inputs.items() if name[:-2] in used}
        (output,) = function.outputs
        return tf.graph_util.import_graph_def(graph, inputs, [output.name], name="packed")[0]

    run.get_concrete_function()  # now, while nothing else runs
    return run


def _take_weights(
    graph: GraphDef, handles: dict[str, tf.Tensor]
) -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
    """Moves the weights into variables and removes the nodes that read them from the graph.

    Args:
        graph: The function's graph, which is changed.
        handles: Variable of each placeholder.

    Returns:
        The variables by the node that read them, and those that other nodes look up in, by
        their placeholder.
    """
    holders = {node.name: node.input[0] for node in graph.node if node.op == "ReadVariableOp"}
    casts = {
        node.name: producer(node.input[0])
        for node in graph.node
        if node.op == "Cast" and producer(node.input[0]) in holders
    }
    removed = {*holders, *casts, *handles}
    nodes = [node for node in graph.node if node.name not in removed and node.op != "Placeholder"]
    del graph.node[:]
    graph.node.extend(nodes)
    for node in graph.node:
        inputs = [name for name in node.input if not name.startswith("^")]
        node.input[:] = inputs
    used = {name for node in graph.node for name in node.input}
    gathered = {name: _take(handle, tf.float32) for name, handle in handles.items() if name in used}
    read = {
        name: _take(handles[holder], tf.float32)
        for name, holder in holders.items()
        if name not in casts.values()
    }
    read |= {name: _take(handles[holders[source]], tf.bfloat16) for name, source in casts.items()}
    return read, gathered


def _take(handle: tf.Tensor, dtype: tf.DType) -> tf.Variable:
    """Moves a float32 variable into a new one; without a cast, nothing is copied."""
    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)
    variable = tf.Variable(tf.cast(value, dtype), trainable=False)
    # Frees the old weights; the variable itself lives as long as the SavedModel.
    empty = tf.zeros([0], tf.float32)
    tf.raw_ops.AssignVariableOp(resource=handle, value=empty, validate_shape=False)
    return variable
