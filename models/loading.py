"""Loads a model from a path.

A model is a sentence-transformers or Hugging Face folder, a name on the Hugging Face
hub, or the folder of a training run (`rejoinder.models.model_dir`).
"""

import dataclasses
import tempfile
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.checkpoints import (
    latest_checkpoint,
    read_encoder,
    refuse_foreign,
    require_supported,
)
from rejoinder.models.folder_settings import (
    FolderSettings,
    read_folder_settings,
    read_max_length,
)
from rejoinder.models.model_dir import is_model_dir, local_encoder_folder
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.sentence_transformers import copy_tokenizer
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
        settings: Prompts, dimensions and similarity of the model's folder.
    """

    encoder: SentenceEncoder
    tokenizer: Tokenizer
    tokenizer_folder: str
    max_length: int
    settings: FolderSettings

    @property
    def dimension(self) -> int:
        """Components of an embedding."""
        return min(
            self.settings.truncate_dim or self.encoder.config.hidden_size,
            self.encoder.config.hidden_size,
        )


def load_model(
    path: str | Path, *, checkpoint: str | None = None, dtype: str | None = None
) -> LoadedModel:
    """Loads a model.

    Args:
        path: Model folder or folder of a training run, on any file system of
            `rejoinder.storage`, or a hub name.
        checkpoint: Which checkpoint of a run, `ckpt-1000` or a path; the latest
            when None.
        dtype: A tf_keras dtype policy such as `mixed_bfloat16`; the global policy
            when None.

    Raises:
        UserError: There is no model, or its parts do not match.
    """
    is_run = is_model_dir(path)
    if checkpoint and not is_run:
        raise UserError(f"{path}: is not the folder of a training run, so it has no checkpoints")
    if is_run:
        folder = local_encoder_folder(str(path))
        settings = FolderSettings(folder, max_length=read_max_length(folder))
    else:
        refuse_foreign(str(path))
        settings = read_folder_settings(resolve_folder(path))
        folder = settings.transformer
    config = MPNetConfig.from_folder(folder)
    tokenizer = Tokenizer.from_folder(folder)
    if tokenizer.vocab_size > config.vocab_size or tokenizer.pad_id != config.pad_token_id:
        raise UserError(
            f"{folder}: the tokenizer ({tokenizer.vocab_size} tokens, padding"
            f" {tokenizer.pad_id}) is not the model's ({config.vocab_size}, {config.pad_token_id})"
        )
    encoder = SentenceEncoder(config, normalize=settings.normalize, dtype=dtype)
    if is_run:
        _restore(encoder, str(path), checkpoint)
    else:
        load_huggingface_weights(encoder, folder)
    return LoadedModel(
        encoder=encoder,
        tokenizer=tokenizer,
        tokenizer_folder=str(folder),
        max_length=min(settings.max_length or config.max_length, config.max_length),
        settings=settings,
    )


def write_encoder_folder(
    folder: str | Path, config: MPNetConfig, tokenizer_folder: str | Path, max_length: int
) -> None:
    """Writes the configuration and tokenizer that a run's checkpoints need.

    Args:
        folder: `MODEL_DIR/encoder`, on any file system of `rejoinder.storage`.
        config: The model's hyperparameters.
        tokenizer_folder: Folder of the tokenizer that made the run's data.
        max_length: Tokens after which a text is cut.
    """
    with tempfile.TemporaryDirectory() as local:
        config.write(local)
        copy_tokenizer(tokenizer_folder, local, max_length)
        for file in sorted(Path(local).iterdir()):
            storage.replace_bytes(storage.join(str(folder), file.name), file.read_bytes())


def _restore(encoder: SentenceEncoder, model_dir: str, checkpoint: str | None) -> None:
    """Reads the encoder's weights from a run's checkpoint."""
    require_supported(model_dir)
    if checkpoint is None:
        found = latest_checkpoint(model_dir)
        if found is None:
            raise UserError(f"{model_dir}: has no checkpoint yet; train first")
    else:
        found = checkpoint
        if not storage.exists(f"{found}.index"):
            found = storage.join(model_dir, checkpoint)
        if not storage.exists(f"{found}.index"):
            raise UserError(f"{checkpoint}: is not a checkpoint, neither a path nor in {model_dir}")
    read_encoder(encoder, found)
