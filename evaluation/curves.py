"""Reads learning curves from the TensorBoard event files of a MODEL_DIR."""

import os
from collections import defaultdict
from dataclasses import dataclass

_KINDS = ("loss", "accuracy", "one_of", "recall", "sts_")
_POINTS = 400


@dataclass(frozen=True)
class Curve:
    """One scalar over training.

    Attributes:
        model: The model's name in tables.
        run: "train" or "validation".
        tag: Name of the scalar.
        steps: Steps, ascending.
        values: The scalar's value at each step.
    """

    model: str
    run: str
    tag: str
    steps: list[int]
    values: list[float]


def read_curves(model: str, folder: str) -> list[Curve]:
    """Returns the losses and scores found under `folder`; an empty list if there are none.

    Args:
        model: The model's name in tables.
        folder: A MODEL_DIR; any other path or hub name has no event files.
    """
    import tensorflow as tf

    points: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for path in sorted(tf.io.gfile.glob(os.path.join(folder, "**", "events.out.tfevents.*"))):
        _read_events(path, os.path.basename(os.path.dirname(path)), points)
    for path in sorted(tf.io.gfile.glob(os.path.join(folder, "events.out.tfevents.*"))):
        _read_events(path, "train", points)
    curves = []
    for (run, tag), values in sorted(points.items()):
        steps = sorted(values)
        steps = steps[:: max(1, len(steps) // _POINTS)]
        curves.append(Curve(model, run, tag, steps, [values[step] for step in steps]))
    return curves


def _is_shown(tag: str) -> bool:
    # The best value so far is that of another curve.
    return any(kind in tag for kind in _KINDS) and not tag.startswith("best_")


def _read_events(path: str, run: str, points: dict[tuple[str, str], dict[int, float]]) -> None:
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    try:
        for record in tf.data.TFRecordDataset(path):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.HasField("tensor") and _is_shown(value.tag):
                    array = tf.make_ndarray(value.tensor)
                    if array.ndim == 0:
                        points[run, value.tag][event.step] = float(array)
    except tf.errors.DataLossError:
        # The last record of a killed run may be incomplete; the records before it are kept.
        return
