"""The base model of a run: sizes, tokenizer and initial weights."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rejoinder import storage
from rejoinder.corpus.naming import TOKENIZER_FOLDER
from rejoinder.errors import UserError
from rejoinder.models.checkpoints import latest_checkpoint, read_encoder, refuse_foreign
from rejoinder.models.folder_settings import transformer_folder
from rejoinder.models.local_folder import local_folder
from rejoinder.models.model_dir import is_model_dir, local_encoder_folder
from rejoinder.models.mpnet import MPNetConfig
from rejoinder.models.sentence_encoder import SentenceEncoder
from rejoinder.models.tokenizer import Tokenizer
from rejoinder.models.weights import load_huggingface_weights, resolve_folder
from rejoinder.trainer.config import ModelConfig
from rejoinder.trainer.data.corpora import Corpus


@dataclass(frozen=True)
class BaseModel:
    """The model from which training starts.

    Attributes:
        config: Sizes of the encoder.
        tokenizer_folder: Folder of the tokenizer.
        weights: Folder of the initial weights (Hugging Face or a MODEL_DIR); empty for
            random weights.
    """

    config: MPNetConfig
    tokenizer_folder: str
    weights: str = ""

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return _tokenizer(self.tokenizer_folder)


def find_base_model(model: ModelConfig, corpora: Sequence[Corpus]) -> BaseModel:
    """Returns the base model of a configuration.

    Raises:
        UserError: The weights or the tokenizer are missing, `max_length` exceeds the
            positions of the encoder, `frozen_layers` leaves nothing to train, or a
            dropout is not between 0 and 1.
    """
    if model.init_from:
        base = existing_model(model)
    else:
        folder = _chosen_tokenizer(model) or _corpus_tokenizer(corpora[0])
        tokenizer = _tokenizer(folder)
        try:
            config = MPNetConfig(
                vocab_size=tokenizer.vocab_size,
                hidden_size=model.hidden_size,
                num_hidden_layers=model.num_hidden_layers,
                num_attention_heads=model.num_attention_heads,
                intermediate_size=model.intermediate_size,
                **chosen_dropout(model),
                max_position_embeddings=max(model.max_length + tokenizer.pad_id + 1, 514),
                pad_token_id=tokenizer.pad_id,
                bos_token_id=tokenizer.bos_id,
                eos_token_id=tokenizer.eos_id,
            )
        except ValueError as error:
            raise UserError(f"task.model: {error}") from error
        base = BaseModel(config, folder)
    check_sizes(model, base.config, corpora)
    return base


def check_sizes(model: ModelConfig, sizes: MPNetConfig, corpora: Sequence[Corpus]) -> None:
    """Checks that the encoder has the positions and layers that a configuration asks for.

    Raises:
        UserError: It has not.
    """
    longest = max((corpus.manifest.max_length for corpus in corpora), default=0)
    if model.max_length > sizes.max_length:
        raise UserError(
            f"task.model.max_length: must be at most {sizes.max_length}, the number of the "
            f"encoder's positions, got {model.max_length}"
        )
    if longest > model.max_length:
        raise UserError(
            f"task.model.max_length: must be at least {longest}, the longest sentences of the "
            f"corpus, got {model.max_length}; raise it, or make the corpus with --max-length "
            f"{model.max_length}"
        )
    if not 0 <= model.frozen_layers < sizes.num_hidden_layers:
        raise UserError(
            "task.model.frozen_layers: must be at least 0 and below the encoder's "
            f"{sizes.num_hidden_layers} layers, got {model.frozen_layers}"
        )


@lru_cache(maxsize=2)
def _tokenizer(folder: str) -> Tokenizer:
    return Tokenizer.from_folder(folder)


def check_tokenizer(base: BaseModel, corpora: Sequence[Corpus]) -> None:
    """Checks that the corpora were made with the tokenizer of the run.

    Raises:
        UserError: One was not.
    """
    for corpus in corpora:
        if corpus.manifest.tokenizer != base.tokenizer.fingerprint:
            raise UserError(
                f"{corpus.data_set.folder}: was made with another tokenizer than that of "
                f"{base.tokenizer_folder}; make the corpus with --tokenizer {base.tokenizer_folder}"
            )


def load_weights(encoder: SentenceEncoder, base: BaseModel, model: ModelConfig) -> None:
    """Loads the initial weights into a new encoder.

    Raises:
        UserError: The weights do not fit the encoder.
    """
    if not base.weights:
        embeddings = encoder.mpnet.word_embeddings
        factor = model.embedding_stddev / base.config.initializer_range
        embeddings.assign(embeddings.read_value() * factor)
    elif is_model_dir(base.weights):
        read_encoder(encoder, str(latest_checkpoint(base.weights)))
    else:
        load_huggingface_weights(encoder, base.weights)


def existing_model(model: ModelConfig) -> BaseModel:
    """Returns the base model that `init_from` names.

    Raises:
        UserError: There is none, or its settings cannot be read.
    """
    if is_model_dir(model.init_from):
        if latest_checkpoint(model.init_from) is None:
            raise UserError(f"{model.init_from}: holds no checkpoint (task.model.init_from)")
        folder, weights = str(local_encoder_folder(model.init_from)), model.init_from
    else:
        refuse_foreign(model.init_from)
        folder = weights = str(transformer_folder(resolve_folder(model.init_from)))
    config = dataclasses.replace(MPNetConfig.from_folder(folder), **chosen_dropout(model))
    return BaseModel(config, _chosen_tokenizer(model) or folder, weights)


def _chosen_tokenizer(model: ModelConfig) -> str:
    """Returns the folder of `task.model.tokenizer`; empty without one."""
    return str(transformer_folder(model.tokenizer)) if model.tokenizer else ""


def chosen_dropout(model: ModelConfig) -> dict[str, Any]:
    """Returns the dropout values that the configuration sets."""
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
    """Returns a local folder with the tokenizer of a corpus."""
    folder = storage.join(corpus.data_set.folder, TOKENIZER_FOLDER)
    if not storage.exists(storage.join(folder, "tokenizer.json")):
        raise UserError(
            f"{corpus.data_set.folder}: contains no tokenizer; set task.model.tokenizer to the "
            "folder of the tokenizer that it was made with"
        )
    return str(local_folder(folder))
