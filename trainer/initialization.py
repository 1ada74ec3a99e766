"""What a run starts from: sizes, tokenizer and weights."""

import dataclasses
import posixpath
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import tensorflow as tf

from rejoinder.corpus.naming import TOKENIZER_FOLDER
from rejoinder.errors import UserError
from rejoinder.models.model_dir import is_model_dir, local_encoder_folder
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.weights import load_huggingface_weights, resolve_folder
from rejoinder.trainer.config import DualEncoderTask, EncoderModel
from rejoinder.trainer.data.corpora import Corpus


@dataclass(frozen=True)
class Base:
    """The start of a run.

    Attributes:
        config: Sizes of the encoder.
        tokenizer_folder: Folder of the tokenizer.
        weights: Folder of the weights (Hugging Face or one of our model folders);
            empty for random ones.
    """

    config: MPNetConfig
    tokenizer_folder: str
    weights: str = ""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return _tokenizer(self.tokenizer_folder)


def find_base(model: EncoderModel, corpora: Sequence[Corpus]) -> Base:
    """Returns what `model` says to start from.

    Raises:
        UserError: the weights or the tokenizer cannot be found, `max_length` is more
            than the encoder has positions for, `frozen_layers` leaves nothing to train, or
            a dropout is no share.
    """
    if model.init_from:
        base = _existing(model)
    else:
        folder = model.tokenizer or _corpus_tokenizer(corpora[0])
        tokenizer = _tokenizer(folder)
        try:
            config = MPNetConfig(
                vocab_size=tokenizer.vocab_size,
                hidden_size=model.hidden_size,
                num_hidden_layers=model.num_hidden_layers,
                num_attention_heads=model.num_attention_heads,
                intermediate_size=model.intermediate_size,
                **_dropout(model),
                max_position_embeddings=max(model.max_length + tokenizer.pad_id + 1, 514),
                pad_token_id=tokenizer.pad_id,
                bos_token_id=tokenizer.bos_id,
                eos_token_id=tokenizer.eos_id,
            )
        except ValueError as error:
            raise UserError(f"task.model: {error}") from error
        base = Base(config, folder)
    longest = max(corpus.manifest.max_length for corpus in corpora)
    if model.max_length > base.config.max_length:
        raise UserError(
            f"task.model.max_length: the encoder has positions for {base.config.max_length} "
            f"tokens, got {model.max_length}"
        )
    if longest > model.max_length:
        raise UserError(
            f"task.model.max_length: the corpus holds sentences of up to {longest} tokens, got "
            f"{model.max_length}; raise it, or make the corpus with --max-length {model.max_length}"
        )
    if not 0 <= model.frozen_layers < base.config.num_hidden_layers:
        raise UserError(
            "task.model.frozen_layers: must be at least 0 and below the encoder's "
            f"{base.config.num_hidden_layers} layers, got {model.frozen_layers}"
        )
    return base


@lru_cache(maxsize=2)
def _tokenizer(folder: str) -> Tokenizer:
    return Tokenizer.from_folder(folder)


def check_tokenizer(base: Base, corpora: Sequence[Corpus]) -> None:
    """Raises UserError unless the corpora were made with the tokenizer of the run."""
    for corpus in corpora:
        if corpus.manifest.tokenizer != base.tokenizer.fingerprint:
            raise UserError(
                f"{corpus.source.folder}: was made with another tokenizer than that of "
                f"{base.tokenizer_folder}; make the corpus with --tokenizer {base.tokenizer_folder}"
            )


def load_weights(encoder: SentenceEncoder, base: Base, model: EncoderModel) -> None:
    """Gives a new encoder its first weights."""
    if not base.weights:
        embeddings = encoder.mpnet.word_embeddings
        factor = model.embedding_stddev / base.config.initializer_range
        embeddings.assign(embeddings.read_value() * factor)
    elif is_model_dir(base.weights):
        latest = tf.train.latest_checkpoint(base.weights)
        if latest is None:
            raise UserError(f"{base.weights}: holds no checkpoint (task.model.init_from)")
        tf.train.Checkpoint(model=encoder).read(latest).expect_partial()
    else:
        load_huggingface_weights(encoder, base.weights)


def loss_dims(params: DualEncoderTask, width: int) -> tuple[int, ...]:
    """Returns the widths of the loss, the whole embedding last; empty for that alone.

    Raises:
        UserError: a width is not between 1 and that of the encoder.
    """
    dims = sorted(set(params.loss.matryoshka_dims))
    if not dims:
        return ()
    if dims[0] < 1 or dims[-1] > width:
        raise UserError(
            f"task.loss.matryoshka_dims: must be between 1 and the encoder's width {width}, "
            f"got {params.loss.matryoshka_dims}"
        )
    return (*(dim for dim in dims if dim < width), width)


def _existing(model: EncoderModel) -> Base:
    if is_model_dir(model.init_from):
        folder, weights = str(local_encoder_folder(model.init_from)), model.init_from
    else:
        folder = weights = str(resolve_folder(model.init_from))
    config = dataclasses.replace(MPNetConfig.from_folder(folder), **_dropout(model))
    return Base(config, model.tokenizer or folder, weights)


def _dropout(model: EncoderModel) -> dict[str, Any]:
    """Returns the dropout that the configuration sets itself."""
    chosen: dict[str, Any] = {}
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        value = getattr(model, name)
        if value is None:
            continue
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise UserError(f"task.model.{name}: must be at least 0 and below 1, got {value!r}")
        chosen[name] = float(value)
    return chosen


def _corpus_tokenizer(corpus: Corpus) -> str:
    """Returns a local folder with the tokenizer that a corpus carries."""
    folder = posixpath.join(corpus.source.folder, TOKENIZER_FOLDER)
    if not tf.io.gfile.exists(posixpath.join(folder, "tokenizer.json")):
        raise UserError(
            f"{corpus.source.folder}: carries no tokenizer; name the folder of the one it was "
            "made with in task.model.tokenizer"
        )
    if "://" not in folder:
        return folder
    local = tempfile.mkdtemp(prefix="rejoinder-tokenizer-")
    for name in tf.io.gfile.listdir(folder):
        tf.io.gfile.copy(posixpath.join(folder, name), posixpath.join(local, name))
    return local
