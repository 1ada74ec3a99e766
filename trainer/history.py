"""What earlier processes of a run trained, from the `training.json` that they wrote."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rejoinder import storage
from rejoinder.models.model_dir import TRAINING_REPORT
from rejoinder.trainer.data_sets import losses
from rejoinder.trainer.throughput import Throughput


@dataclass(frozen=True)
class History:
    """Counts and losses of the processes before this one.

    Attributes:
        total: Counts of their steps.
        seconds: Their wall time, evaluations and checkpoints included.
        first_loss: Loss of the run's first steps.
        last_loss: Loss of their last steps.
        accuracy: Accuracy inside the batches of their last steps.
        evaluated: Step of their last complete evaluation; None without one.
        first_losses: First loss on each data set of a mixture, by curve.
        last_losses: The last one.
    """

    total: Throughput = field(default_factory=Throughput)
    seconds: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    accuracy: float | None = None
    evaluated: int | None = None
    first_losses: dict[str, float] = field(default_factory=dict)
    last_losses: dict[str, float] = field(default_factory=dict)


def read_history(model_dir: str, step: int) -> History:
    """Returns the history of the checkpoint with which a run continues.

    Args:
        model_dir: MODEL_DIR. Its report is written after each checkpoint; one that an older
            version wrote has no counts and is left out.
        step: Step of the checkpoint, 0 without one. A report of later steps is not this
            checkpoint's.
    """
    path = storage.join(model_dir, TRAINING_REPORT)
    if not (step and storage.exists(path)):
        return History()
    report: dict[str, Any] = json.loads(storage.read_bytes(path))
    if report["steps"] > step or "steps_counted" not in report:
        return History()
    by_data_set = report.get("by_data_set", {})
    total = Throughput(
        steps=report["steps_counted"],
        pairs=report["pairs_trained"],
        tokens=report["tokens"],
        capacity=report["token_positions"],
        cut=report["cut_tokens"],
        seconds=report["training_seconds"],
        drawn=Counter({name: values["pairs"] for name, values in by_data_set.items()}),
    )
    return History(
        total,
        report["seconds"],
        report["first_loss"],
        report["last_loss"],
        report["accuracy_in_batch"],
        report.get("evaluated_step"),
        losses(by_data_set, "first_loss"),
        losses(by_data_set, "last_loss"),
    )
