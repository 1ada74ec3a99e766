"""Stops training when the evaluation no longer improves."""

import math
from collections.abc import Mapping

from rejoinder.errors import UserError
from rejoinder.trainer.distribution.hosts import Hosts


class StoppedEarly(Exception):  # noqa: N818 - not an error
    """The metric has not improved within the configured number of evaluations."""


class EarlyStopping:
    """An orbit action after each evaluation.

    The count starts again when a run is resumed; the best value is that of `best/`.

    Args:
        metric: Metric to watch (`trainer.best_checkpoint_eval_metric`).
        direction: Whether `higher` or `lower` values are better.
        patience: Number of evaluations without a better value after which to stop.
        hosts: All hosts; the chief decides for all of them.
        best: The best value before this process, if there is one.
    """

    def __init__(
        self, metric: str, direction: str, patience: int, hosts: Hosts, *, best: float | None = None
    ):
        self._metric = metric
        self._sign = 1.0 if direction == "higher" else -1.0
        self._patience = patience
        self._hosts = hosts
        self._best = None if best is None else self._sign * best
        self._waited = 0

    def __call__(self, logs: Mapping[str, float]) -> None:
        """Takes the metrics of an evaluation.

        Raises:
            StoppedEarly: The metric has not improved in `patience` evaluations.
            UserError: There is no such metric.
        """
        if self._metric not in logs:
            raise UserError(
                f"trainer.best_checkpoint_eval_metric: no metric {self._metric!r}; the metrics are "
                f"{', '.join(sorted(logs))}"
            )
        value = self._sign * float(logs[self._metric])
        if math.isfinite(value) and (self._best is None or value > self._best):
            self._best, self._waited = value, 0
        else:
            self._waited += 1
        chief_waited = self._hosts.gather(self._waited)[0]
        if chief_waited >= self._patience:
            raise StoppedEarly(f"{self._metric} has not improved in {chief_waited} evaluations")
