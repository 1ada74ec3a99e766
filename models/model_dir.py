"""The folder of a training run: the names in it, and where its encoder is described.

TensorFlow checkpoints `ckpt-*` hold the encoder under `model`; `encoder/` holds what
they need to become a model again, its configuration and its tokenizer.
"""

import posixpath
import tempfile
from pathlib import Path

import tensorflow as tf

ENCODER_FOLDER = "encoder"
PARAMETERS = "params.yaml"  # the resolved configuration; Model Garden writes it
DATA_DESCRIPTION = "data.json"
TRAINING_REPORT = "training.json"
EVALUATION_FOLDER = "evaluation"
EVALUATION = f"{EVALUATION_FOLDER}/evaluation.md"


def is_model_dir(path: str | Path) -> bool:
    """Says whether a path is the folder of a training run."""
    return tf.io.gfile.exists(posixpath.join(str(path), ENCODER_FOLDER, "config.json"))


def local_encoder_folder(model_dir: str) -> Path:
    """Returns a run's `encoder/` as a local folder that lives as long as the process."""
    remote = posixpath.join(model_dir, ENCODER_FOLDER)
    if "://" not in model_dir:
        return Path(remote)
    local = Path(tempfile.mkdtemp(prefix="rejoinder-encoder-"))
    for name in tf.io.gfile.listdir(remote):
        tf.io.gfile.copy(posixpath.join(remote, name), str(local / name), overwrite=True)
    return local
