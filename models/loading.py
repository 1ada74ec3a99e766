"""Finds out what a path holds and makes a model of it.

A model may be a sentence-transformers or Hugging Face folder, a name on the
Hugging Face hub, or the folder of a training run (`rejoinder.models.model_dir`).
"""

import dataclasses
import posixpath
import tempfile
from pathlib import Path

import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.model_dir import is_model_dir, local_encoder_folder
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import check_modules, copy_tokenizer, read_max_length
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.weights import load_huggingface_weights, resolve_folder


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model ready for use.

    Attributes:
        encoder: The model.
        tokenizer: The tokenizer it was trained with.
        tokenizer_folder: Local folder with the tokenizer's files.
        max_length: Tokens after which a text is cut.
    """

    encoder: SentenceEncoder
    tokenizer: Tokenizer
    tokenizer_folder: str
    max_length: int


def load_model(
    path: str | Path, *, checkpoint: str | None = None, dtype: str | None = None
) -> LoadedModel:
    """Loads a model from wherever it is.

    Args:
        path: Model folder, hub name, or the folder of a training run, which may
            also be on `gs://`.
        checkpoint: Which checkpoint of a run, `ckpt-1000` or a path; the latest
            when None.
        dtype: A tf_keras dtype policy such as `mixed_bfloat16`; the global policy
            when None.

    Raises:
        UserError: There is no model, or its parts do not belong together.
    """
    is_run = is_model_dir(path)
    if checkpoint and not is_run:
        raise UserError(f"{path} is not the folder of a training run; it has no checkpoints")
    folder = local_encoder_folder(str(path)) if is_run else resolve_folder(path)
    check_modules(folder)
    config = MPNetConfig.from_folder(folder)
    tokenizer = Tokenizer.from_folder(folder)
    if tokenizer.vocab_size > config.vocab_size or tokenizer.pad_id != config.pad_token_id:
        raise UserError(
            f"{folder}: the tokenizer ({tokenizer.vocab_size} tokens, padding"
            f" {tokenizer.pad_id}) is not the model's ({config.vocab_size}, {config.pad_token_id})"
        )
    encoder = SentenceEncoder(config, dtype=dtype)
    if is_run:
        _restore(encoder, str(path), checkpoint)
    else:
        load_huggingface_weights(encoder, folder)
    return LoadedModel(
        encoder=encoder,
        tokenizer=tokenizer,
        tokenizer_folder=str(folder),
        max_length=read_max_length(folder, config.max_length),
    )


def write_encoder_folder(
    folder: str | Path, config: MPNetConfig, tokenizer_folder: str | Path, max_length: int
) -> None:
    """Writes what a run's checkpoints need to become a model again.

    Args:
        folder: `MODEL_DIR/encoder`, also on `gs://`; made if missing.
        config: The model's hyperparameters.
        tokenizer_folder: Folder of the tokenizer that made the run's data.
        max_length: Tokens after which a text is cut.
    """
    tf.io.gfile.makedirs(str(folder))
    with tempfile.TemporaryDirectory() as local:
        config.write(local)
        copy_tokenizer(tokenizer_folder, local, max_length)
        for file in sorted(Path(local).iterdir()):
            tf.io.gfile.copy(str(file), posixpath.join(str(folder), file.name), overwrite=True)


def _restore(encoder: SentenceEncoder, model_dir: str, checkpoint: str | None) -> None:
    """Reads the encoder of a run's checkpoint."""
    if checkpoint is None:
        found = tf.train.latest_checkpoint(model_dir)
        if found is None:
            raise UserError(f"{model_dir} has no checkpoint yet; train first")
    else:
        found = checkpoint
        if not tf.io.gfile.glob(f"{found}.index"):
            found = posixpath.join(model_dir, checkpoint)
        if not tf.io.gfile.glob(f"{found}.index"):
            raise UserError(f"{checkpoint} is no checkpoint, here or in {model_dir}")
    try:
        # Partial, because a run's checkpoint also holds optimizer and step.
        status = tf.train.Checkpoint(model=encoder).read(found).expect_partial()
        status.assert_existing_objects_matched()
    except (tf.errors.OpError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{found} does not hold the model that its run describes: {reason}"
        ) from None
