"""Reads an encoder's weights from a TensorFlow checkpoint of a training run.

A run that keeps a moving average of its weights evaluates the average, so the average is
the model: it is read wherever the checkpoint holds one.
"""

from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from rejoinder.models.sentence_encoder import SentenceEncoder

AVERAGE_SLOT = "average"  # the slot of Model Garden's ExponentialMovingAverage
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def read_weights(encoder: SentenceEncoder, checkpoint: str) -> None:
    """Sets the weights of `encoder` to those of a checkpoint, or to their moving average.

    Args:
        encoder: An encoder of the same sizes; each of its weights is set.
        checkpoint: Path of the checkpoint, such as `MODEL_DIR/ckpt-1000`.

    Raises:
        AssertionError: The checkpoint lacks a weight.
        ValueError: A weight has another shape.
        tf.errors.OpError: The checkpoint cannot be read.
    """
    # Partial, because a run's checkpoint also holds optimizer and step.
    status = tf.train.Checkpoint(model=encoder).read(checkpoint).expect_partial()
    status.assert_existing_objects_matched()
    reader = tf.train.load_checkpoint(checkpoint)
    for variable, key in _averages(encoder, reader):
        variable.assign(reader.get_tensor(key))


def _averages(encoder: SentenceEncoder, reader: Any) -> list[tuple[tf.Variable, str]]:
    """Returns each variable that has an average, with the average's key in the checkpoint.

    Frozen layers have none: their weights never changed.
    """
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor(_OBJECT_GRAPH)
    )
    keys = {
        slot.original_variable_node_id: graph.nodes[slot.slot_variable_node_id]
        .attributes[0]
        .checkpoint_key
        for node in graph.nodes
        for slot in node.slot_variables
        if slot.slot_name == AVERAGE_SLOT
    }
    found: list[tuple[tf.Variable, str]] = []
    view = tf.train.TrackableView(encoder)
    todo = [
        (child.node_id, encoder) for child in graph.nodes[0].children if child.local_name == "model"
    ]
    seen: set[int] = set()
    while keys and todo:
        number, item = todo.pop()
        if number in seen:
            continue
        seen.add(number)
        if number in keys:
            found.append((item, keys[number]))
        children = view.children(item)
        todo += [
            (child.node_id, children[child.local_name])
            for child in graph.nodes[number].children
            if child.local_name in children
        ]
    if len(found) != len(keys):
        raise AssertionError(f"{len(keys) - len(found)} averages belong to no weight of the model")
    return found
