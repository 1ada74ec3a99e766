"""The folder of a training run: the names in it, and the description of its encoder.

TensorFlow checkpoints `ckpt-*` hold the encoder's weights under `model`; `encoder/`
holds its configuration and tokenizer, which are needed to build the model again.
"""

from pathlib import Path

import yaml

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.local_folder import local_folder

ENCODER_FOLDER = "encoder"
PARAMETERS = "params.yaml"  # the resolved configuration; Model Garden writes it
DATA_DESCRIPTION = "data.json"
TRAINING_REPORT = "training.json"
EVALUATION_FOLDER = "evaluation"
EVALUATION = "evaluation.md"
EVALUATION_FIGURES = "evaluation.json"


def is_model_dir(path: str | Path) -> bool:
    """Returns whether a path is the folder of a training run."""
    return storage.exists(storage.join(str(path), ENCODER_FOLDER, "config.json"))


def trained_dimensions(model_dir: str) -> list[int]:
    """Returns `task.loss.matryoshka_dims` of a run: widths that were trained beside the full one.

    Raises:
        UserError: The run's configuration is broken.
    """
    path = storage.join(model_dir, PARAMETERS)
    if not storage.exists(path):
        return []
    try:
        task = yaml.safe_load(storage.read_bytes(path))["task"]
        return [int(width) for width in task.get("loss", {}).get("matryoshka_dims") or ()]
    except (yaml.YAMLError, TypeError, KeyError, AttributeError, ValueError):
        raise UserError(f"{path}: is not the configuration of a training run") from None


def evaluation_folder(model_dir: str, checkpoint: str | None = None) -> str:
    """Returns the folder of a run's evaluation, from which its model card is made.

    Args:
        model_dir: Folder of the run.
        checkpoint: The checkpoint that is evaluated, `ckpt-1000` or a path; None for the
            latest.
    """
    folder = storage.join(model_dir, EVALUATION_FOLDER)
    return storage.join(folder, checkpoint.rpartition("/")[2]) if checkpoint else folder


def local_encoder_folder(model_dir: str) -> Path:
    """Returns a run's `encoder/` as a local folder that lives as long as the process."""
    return local_folder(storage.join(model_dir, ENCODER_FOLDER))
