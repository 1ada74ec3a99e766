"""Writes the mean of the weights of a run's last checkpoints as a model of its own.

    python -m benchmarks.average --model MODEL_DIR --last 5 --output FOLDER
    rejoinder evaluate --model MODEL_DIR,FOLDER --corpus CORPUS

The run keeps as many checkpoints as `trainer.max_to_keep` says. The mean is over the weights
that the steps trained, also if the run keeps an exponential moving average: with `--last 1`,
FOLDER is the model that such a run would have without it.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from rejoinder.models.checkpoints import STATE_FILE
from rejoinder.models.loading import load_model
from rejoinder.models.model_dir import ENCODER_FOLDER, PARAMETERS
from rejoinder.models.sentence_encoder import SentenceEncoder


def main() -> None:
    """Writes the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="MODEL_DIR of a training")
    parser.add_argument("--last", type=int, required=True, help="number of checkpoints")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    args = parser.parse_args()
    paths = kept_checkpoints(args.model)[-args.last :]
    if len(paths) < args.last:
        parser.error(f"{args.model}: holds {len(paths)} checkpoints; raise trainer.max_to_keep")
    encoder = load_model(args.model, dtype="float32").encoder
    set_to_mean(encoder, paths)
    args.output.mkdir(parents=True)
    shutil.copytree(args.model / ENCODER_FOLDER, args.output / ENCODER_FOLDER)
    shutil.copy(args.model / PARAMETERS, args.output)
    name = Path(paths[-1]).name
    tf.train.Checkpoint(model=encoder).write(str(args.output / name))
    (args.output / STATE_FILE).write_text(f'model_checkpoint_path: "{name}"\n')
    print(f"{args.output}: the mean of {', '.join(Path(path).name for path in paths)}")


def kept_checkpoints(model_dir: Path) -> list[str]:
    """Returns the paths of a run's checkpoints, oldest first."""
    state = tf.train.get_checkpoint_state(str(model_dir))
    return list(state.all_model_checkpoint_paths) if state else []


def set_to_mean(encoder: SentenceEncoder, paths: Sequence[str]) -> None:
    """Sets each weight to its mean over checkpoints, added up in float64.

    Args:
        encoder: An encoder of the run's sizes.
        paths: Checkpoints, such as `MODEL_DIR/ckpt-80`.
    """
    sums = [np.zeros(weight.shape, np.float64) for weight in encoder.variables]
    for path in paths:
        tf.train.Checkpoint(model=encoder).read(path).expect_partial()
        for total, weight in zip(sums, encoder.variables, strict=True):
            total += weight.numpy()
    for total, weight in zip(sums, encoder.variables, strict=True):
        weight.assign((total / len(paths)).astype(np.float32))


if __name__ == "__main__":
    main()
