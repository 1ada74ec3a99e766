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
    "task.train_data.allow_new_data",
)
_NAMED = 3  # more changed keys are counted, not named


def is_finished(run: Run, step: int) -> bool:
    """Returns whether a training run has nothing left to do.

    A run that was killed after its last checkpoint still has to write its report, and one
    that was killed in its last evaluation has to evaluate again.

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
    trained, evaluated = _reported_steps(storage.join(run.model_dir, TRAINING_REPORT))
    return trained == step and (evaluated == step or not run.evaluates)


def _reported_steps(path: str) -> tuple[int | None, int | None]:
    """Returns the last step and the last evaluated step of a training report.

    They are None without a report. The report of a run that only trained, or of an older
    version, does not name the evaluated step; its last step counts as evaluated.
    """
    if not storage.exists(path):
        return None, None
    try:
        report = json.loads(storage.read_bytes(path))
        trained = int(report["steps"])
        return trained, report.get("evaluated_step", trained)
    except (ValueError, KeyError, TypeError):  # it is written again
        return None, None


def _changes(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yields the decisive keys that changed, except keys that only one version has."""
    for key in sorted(before.keys() & now.keys()):
        old, new, path = before[key], now[key], f"{prefix}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _changes(old, new, f"{path}.")
        elif old != new and path.startswith(_DECISIVE) and not path.startswith(_NOT_DECISIVE):
            yield f"{path} was {old!r}, now {new!r}"
