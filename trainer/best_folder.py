"""Checks and reads `best/`, the folder of a run's best weights (`rejoinder.trainer.best`)."""

import json
from typing import Any

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.checkpoints import latest_checkpoint


def read_best(folder: str) -> dict[str, Any] | None:
    """Returns `step` and `metrics` of the weights in `best/`; None if there are none.

    Args:
        folder: `best/`, or another MODEL_DIR.
    """
    latest = latest_checkpoint(folder)
    if latest is None or not storage.exists(f"{latest}.json"):
        return None
    stored: dict[str, Any] = json.loads(storage.read_bytes(f"{latest}.json"))
    return stored


def check_not_best(model_dir: str) -> None:
    """Checks that training does not continue in a `best/`.

    Raises:
        UserError: The folder is one.
    """
    if read_best(model_dir) is not None:
        raise UserError(
            f"{model_dir}: holds the best weights of a run without its optimizer, so a run "
            f"cannot continue there; use --init-from {model_dir} with another --model-dir"
        )


def check_name(subdir: str) -> None:
    """Checks `trainer.best_checkpoint_export_subdir`.

    Raises:
        UserError: It is not the name of a folder of its own.
    """
    taken = ("encoder", "lock", "train", "validation", "evaluation", ".", "..")
    if "/" in subdir or "\\" in subdir or subdir in taken:
        raise UserError(
            "trainer.best_checkpoint_export_subdir: must be the name of a folder of its own in "
            f"MODEL_DIR, or empty to save none, got {subdir!r}"
        )
