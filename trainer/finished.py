"""A run that has nothing left to train, and its settings."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.model_dir import PARAMETERS, TRAINING_REPORT
from rejoinder.trainer.model_folder import to_yaml
from rejoinder.trainer.run import Run

# Keys that decide the weights of a finished run. `resume_check` compares the content of the
# data; here are the other settings.
_DECISIVE = ("task.", "trainer.optimizer_config.", "trainer.train_steps")
_NOT_DECISIVE = (
    "task.validation_data.",
    "task.evaluation.",
    "task.train_data.input_path",
    "task.train_data.data_config",
    "task.train_data.prefetch",
)
_NAMED = 3  # more changed keys are counted, not named


def is_finished(run: Run, step: int) -> bool:
    """Returns whether a training run has nothing left to do.

    A run that was killed after its last checkpoint still has to write its report.

    Args:
        run: A run that trains.
        step: Step of its latest checkpoint, 0 without one.

    Raises:
        UserError: It has nothing left to train, but was trained with other settings.
    """
    if step < run.config.trainer.train_steps:
        return False
    path = storage.join(run.model_dir, PARAMETERS)
    if storage.exists(path):
        before = yaml.safe_load(storage.read_bytes(path))
        changes = list(_changes(before, yaml.safe_load(to_yaml(run.config)), ""))
        if changes:
            more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
            raise UserError(
                f"{run.model_dir}: is already trained to step {step} with other settings: "
                f"{', '.join(changes[:_NAMED])}{more}; restore them, raise trainer.train_steps to "
                "train on with the new ones, or name another --model-dir"
            )
    return _reported_step(storage.join(run.model_dir, TRAINING_REPORT)) == step


def _reported_step(path: str) -> int | None:
    """Returns the step of a training report; None if there is none."""
    if not storage.exists(path):
        return None
    try:
        return int(json.loads(storage.read_bytes(path))["steps"])
    except (ValueError, KeyError, TypeError):  # it is written again
        return None


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yields the decisive keys that changed, except keys that only one version has."""
    for key in sorted(before.keys() & now.keys()):
        old, new, path = before[key], now[key], f"{prefix}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, f"{path}.")
        elif old != new and path.startswith(_DECISIVE) and not path.startswith(_NOT_DECISIVE):
            yield f"{path} was {old!r}, now {new!r}"
