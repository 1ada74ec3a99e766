"""Scores of an evaluation inside training, computed with the weights of the current step.

What is scored is a callable that `rejoinder train` passes in: the trainer knows nothing of
`rejoinder.evaluation`.
"""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from rejoinder.errors import UserError
from rejoinder.models.encoder import Encoder
from rejoinder.models.folder_settings import FolderSettings
from rejoinder.models.loading import LoadedModel
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.weights import bindings
from rejoinder.trainer.data_sets import accuracy_tags, evaluated
from rejoinder.trainer.run import Run

Encode = Callable[[Sequence[str]], np.ndarray]
# Metrics of every validation; one of several data sets also has the accuracy of each.
VALIDATION_METRICS = ("accuracy", "validation_loss")


class Evaluation(Protocol):
    """Scores an encoder.

    Attributes:
        names: Names of the scores.
    """

    @property
    def names(self) -> Sequence[str]: ...  # noqa: D102

    def __call__(self, encode: Encode) -> dict[str, float]:
        """Returns the scores; `encode` returns float32 [n, dimension] of unit length."""


class Scorer:
    """Scores the model in training; with several hosts, the chief computes the scores.

    It encodes with a float32 copy of the weights outside of the run's strategy, so that the
    scores are those of `rejoinder evaluate` on the checkpoint of this step, on any devices
    and in any precision of the training.

    Args:
        run: The run.
        evaluation: Scores of an encoder.
    """

    def __init__(self, run: Run, evaluation: Evaluation):
        self._evaluation = evaluation
        self._hosts = run.hosts
        base = run.base
        self._copy = SentenceEncoder(base.config, dtype="float32")
        loaded = LoadedModel(
            encoder=self._copy,
            tokenizer=base.tokenizer,
            tokenizer_folder=base.tokenizer_folder,
            max_length=run.config.task.model.max_length,
            settings=FolderSettings(Path(base.tokenizer_folder)),
        )
        self._encoder = Encoder.from_loaded(loaded)

    def __call__(self, model: SentenceEncoder) -> dict[str, float]:
        """Returns the scores of the model's present weights, the same on every host."""
        scores = dict.fromkeys(self._evaluation.names, 0.0)
        if self._hosts.is_chief:
            copy_weights(model, self._copy)
            scores = self._evaluation(lambda texts: self._encoder.encode(list(texts)))
        return {name: self._of_chief(score) for name, score in scores.items()}

    def _of_chief(self, value: float) -> float:
        """Returns the chief's value, because all hosts must choose the same best step."""
        (bits,) = struct.unpack("<q", struct.pack("<d", value))
        (chosen,) = struct.unpack("<d", struct.pack("<q", self._hosts.gather(bits)[0]))
        return float(chosen)


def copy_weights(source: SentenceEncoder, target: SentenceEncoder) -> None:
    """Sets the weights of `target` to those of `source`, of which some may be frozen."""
    # The list `variables` of a model begins with those that are trained, so its order differs.
    pairs = zip(bindings(source.mpnet), bindings(target.mpnet), strict=True)
    for trained, copied in pairs:
        copied.variable.assign(trained.variable.read_value())


def check_metric(run: Run, evaluation: Evaluation | None) -> None:
    """Checks `trainer.best_checkpoint_eval_metric`.

    Raises:
        UserError: No evaluation of the run has such a metric.
    """
    metric = run.config.trainer.best_checkpoint_eval_metric
    size = run.config.task.validation_data.global_batch_size
    names = [corpus.data_set.name for corpus in run.validation_corpora]
    batches = [corpus.examples // size for corpus in run.validation_corpora]
    found = evaluated(names, batches, run.config.trainer.validation_steps)
    known = [
        *VALIDATION_METRICS,
        *accuracy_tags(list(found.values())),
        *(evaluation.names if evaluation else ()),
    ]
    if metric not in known:
        raise UserError(
            f"trainer.best_checkpoint_eval_metric: no metric {metric!r}; the metrics are "
            f"{', '.join(known)}"
        )
