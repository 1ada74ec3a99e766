"""Checks that all hosts were started with the same data and settings."""

import json
from typing import Any

from rejoinder.trainer import resume_check
from rejoinder.trainer.run import Run

# Keys that may differ, because a host may have its own copy of these folders.
_PATHS = {
    "train_data": ("input_path", "data_config"),
    "validation_data": ("input_path", "data_config"),
    "model": ("init_from", "tokenizer"),
}


def check_agreement(run: Run) -> None:
    """Compares the runs of all hosts; every host must call it.

    Raises:
        UserError: A host has other data or settings than the chief.
    """
    if run.hosts.count == 1:
        return
    data = resume_check.describe(run.config, run.train_corpora)
    run.hosts.check_equal("training data", json.dumps(data, sort_keys=True))
    run.hosts.check_equal("settings", json.dumps(_settings(run), sort_keys=True))


def _settings(run: Run) -> dict[str, Any]:
    config = run.config.as_dict()
    task = dict(config["task"])
    for section, paths in _PATHS.items():
        task[section] = {k: value for k, value in task[section].items() if k not in paths}
    return {
        "mode": run.mode,
        "precision": run.precision,
        "task": task,
        "trainer": config["trainer"],
    }
