"""The moving average of the weights (`trainer.optimizer_config.ema`)."""

from typing import Any

import tensorflow as tf
from official.modeling import optimization


class WeightAverage(optimization.ExponentialMovingAverage):
    """Model Garden's average, which starts at the initial weights and is swapped exactly.

    Model Garden starts it at zero, so that a run of few steps averages in weights that no
    model ever had, and swaps by additions and subtractions, so that every evaluation rounds
    the weights that are trained further.
    """

    def start(self) -> None:
        """Sets the average to the present weights."""
        for average, weight in zip(self._average_weights, self._model_weights, strict=True):
            average.assign(weight.read_value())

    def swap_weights(self) -> None:
        """Exchanges weights and averages; called outside of the replicas' steps."""
        for average, weight in zip(self._average_weights, self._model_weights, strict=True):
            kept = tf.identity(weight.read_value())
            weight.assign(average.read_value())
            average.assign(kept)


def with_exact_average(optimizer: Any, config: optimization.OptimizationConfig) -> Any:
    """Returns the optimizer with `WeightAverage` in place of Model Garden's average, if any."""
    if not isinstance(optimizer, optimization.ExponentialMovingAverage):
        return optimizer
    return WeightAverage(optimizer._optimizer, **config.ema.as_dict())
