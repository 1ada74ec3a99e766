"""Rewrites a float32 graph so that its matrix products compute in bfloat16.

The result is the graph that a mixed_bfloat16 policy gives: products with weights, their
biases, GELU and the products of attention are bfloat16; residual sums, normalization,
softmax and pooling stay float32. So one float32 export serves in both precisions.
"""

from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.framework.types_pb2 import DT_BFLOAT16, DT_FLOAT

# Operation → its number of leading inputs of the type T. One of them follows the others: it
# computes in bfloat16 where all these inputs are bfloat16, constants or weights.
_FOLLOWING = {
    **dict.fromkeys(("BiasAdd", "Mul", "AddV2"), 2),
    **dict.fromkeys(("Erf", "Reshape", "Transpose", "Unpack", "StridedSlice"), 1),
}
_FIXED = {"Const", "ReadVariableOp"}


def to_bfloat16(graph: GraphDef) -> GraphDef:
    """Returns a copy whose matrix products are bfloat16, with casts where the types meet.

    Args:
        graph: A function's nodes, each after its inputs, as TensorFlow writes them.
    """
    operations = {node.name: node.op for node in graph.node}
    half: set[str] = set()
    casts: dict[str, NodeDef] = {}
    result = GraphDef(versions=graph.versions, library=graph.library)
    for node in graph.node:
        node = result.node.add(
            name=node.name, op=node.op, input=node.input, device=node.device, attr=node.attr
        )
        if in_half := _computes_in_half(node, operations, half):
            half.add(node.name)
            node.attr["T"].type = DT_BFLOAT16
        for position, name in enumerate(node.input):
            if name.startswith("^"):
                continue
            typed = position < _typed_inputs(node)
            if (producer(name) in half) != (in_half and typed):
                cast = _cast(name, DT_BFLOAT16 if in_half and typed else DT_FLOAT)
                casts.setdefault(cast.name, cast)
                node.input[position] = cast.name
    result.node.extend(casts.values())
    return result


def producer(tensor: str) -> str:
    """Returns the node of a tensor's name: `split` of `split:1`."""
    return tensor.partition(":")[0]


def _typed_inputs(node: NodeDef) -> int:
    return 2 if node.op in ("MatMul", "BatchMatMulV2") else _FOLLOWING.get(node.op, 0)


def _computes_in_half(node: NodeDef, operations: dict[str, str], half: set[str]) -> bool:
    count = _typed_inputs(node)
    if not count or node.attr["T"].type != DT_FLOAT:
        return False
    inputs = [producer(name) for name in node.input[:count]]
    if node.op == "MatMul":
        return operations[inputs[1]] == "ReadVariableOp"
    halves = [name in half for name in inputs]
    if node.op == "BatchMatMulV2":  # of attention; the one that pools has no such input
        return any(halves)
    known = (
        is_half or operations[name] in _FIXED for is_half, name in zip(halves, inputs, strict=True)
    )
    return any(halves) and all(known)


def _cast(tensor: str, wanted: int) -> NodeDef:
    """Returns a node that casts a tensor to the type `wanted`, from the other of the two."""
    suffix = "bfloat16" if wanted == DT_BFLOAT16 else "float32"
    node = NodeDef(name=f"{tensor.replace(':', '/')}/{suffix}", op="Cast", input=[tensor])
    node.attr["DstT"].type = wanted
    node.attr["SrcT"].type = DT_FLOAT if wanted == DT_BFLOAT16 else DT_BFLOAT16
    return node
