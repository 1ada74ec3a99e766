"""Texts to embeddings with a Keras model or a SavedModel."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.folder_settings import FolderSettings
from rejoinder.models.loading import LoadedModel
from rejoinder.models.local_folder import local_folder
from rejoinder.models.saved_model.manifest import ExportManifest

# Tokens in a step when the caller sets no batch size: enough for each core to run
# its matrix products at full rate. With four times as many, a token takes a quarter
# longer, because activations no longer fit into the cores' caches.
STEP_TOKENS = min(512 * (os.cpu_count() or 1), 16_384)
# A step that is a quarter full ends before a text that would be padded by more than
# a tenth: smaller products run a little slower, but padding costs more.
_MIN_STEP_TOKENS = STEP_TOKENS // 4
_MIN_FILL = 0.9


class Embedder(Protocol):
    """What `rejoinder.Encoder` needs of a model.

    Attributes:
        dimension: Components of an embedding.
        max_length: Tokens after which a text is cut.
    """

    @property
    def dimension(self) -> int: ...  # noqa: D102

    max_length: int

    def __call__(self, texts: list[str], batch_size: int | None) -> np.ndarray:
        """Returns float32 [n, dimension]."""

    def tokenize(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns token ids int32 [n, longest], and the number of tokens of each text, int [n]."""

    def save(self, folder: str | Path, settings: FolderSettings) -> None:
        """Writes a sentence-transformers folder."""


class KerasEmbedder:
    """Tokenizes texts, sorts them by length and encodes them in steps."""

    def __init__(self, loaded: LoadedModel, max_length: int):
        self._loaded = loaded
        self.max_length = max_length
        self.dimension = loaded.encoder.config.hidden_size
        self._tokenize = tf.function(
            loaded.tokenizer,
            input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)],
        )
        self._step = tf.function(
            lambda token_ids: loaded.encoder({"token_ids": token_ids}, training=False),
            input_signature=[tf.TensorSpec([None, None], tf.int32)],
        )

    @property
    def max_length(self) -> int:
        """Tokens after which a text is cut."""
        return self._max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        longest = self._loaded.encoder.config.max_length
        if not 3 <= value <= longest:
            raise UserError(f"max_length: must be between 3 and {longest}, got {value}")
        self._max_length = value

    def __call__(self, texts: list[str], batch_size: int | None) -> np.ndarray:
        """Returns float32 [n, dimension]."""
        tokens = self._tokenize(encode_utf8(texts), self.max_length)
        lengths = tokens.num_tokens.numpy()
        flat, starts = tokens.ids.flat_values.numpy(), tokens.ids.row_starts().numpy()
        order = np.argsort(-lengths, kind="stable")
        pad_id = self._loaded.tokenizer.pad_id
        result = np.empty([len(texts), self.dimension], np.float32)
        for rows in cut_steps(lengths, order, batch_size):
            token_ids = np.full([len(rows), lengths[rows].max()], pad_id, np.int32)
            for line, row in zip(token_ids, rows, strict=True):
                line[: lengths[row]] = flat[starts[row] : starts[row] + lengths[row]]
            result[rows] = self._step(tf.constant(token_ids)).numpy()
        return result

    def tokenize(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns token ids int32 [n, longest], and the number of tokens of each text, int [n]."""
        tokens = self._tokenize(encode_utf8(texts), self.max_length)
        ids = tokens.ids.to_tensor(self._loaded.tokenizer.pad_id)
        return ids.numpy(), tokens.num_tokens.numpy()

    def save(self, folder: str | Path, settings: FolderSettings) -> None:
        """Writes a sentence-transformers folder."""
        from rejoinder.models.sentence_transformers import save_sentence_transformers

        encoder, tokenizer_folder = self._loaded.encoder, self._loaded.tokenizer_folder
        if encoder.compute_dtype != "float32":
            raise UserError(
                f"{folder}: weights loaded in {encoder.compute_dtype} are rounded; load the model"
                " in float32 to save it"
            )
        save_sentence_transformers(
            folder, encoder, tokenizer_folder, max_length=self.max_length, settings=settings
        )


class SavedModelEmbedder:
    """Encodes with the signatures of an exported SavedModel."""

    def __init__(self, folder: str):
        import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

        self._folder = folder
        # The signatures are only valid while the loaded object exists.
        self._loaded = tf.saved_model.load(folder)
        self._signatures = self._loaded.signatures
        outputs = self._signatures["serving_default"].structured_outputs
        self.dimension = int(outputs["embedding"].shape[-1])

    @property
    def max_length(self) -> int:
        """Tokens after which a text is cut."""
        return ExportManifest.read(local_folder(self._folder)).max_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        raise UserError(f"{self._folder}: max_length was fixed when the SavedModel was exported")

    def __call__(self, texts: list[str], batch_size: int | None) -> np.ndarray:
        """Returns float32 [n, dimension]."""
        # The model groups texts by length itself; sorting gives it similar lengths.
        order = np.argsort([-len(text) for text in texts], kind="stable")
        result = np.empty([len(texts), self.dimension], np.float32)
        for rows in np.split(order, range(batch_size or 256, len(order), batch_size or 256)):
            step = encode_utf8([texts[row] for row in rows])
            result[rows] = self._signatures["serving_default"](text=step)["embedding"].numpy()
        return result

    def tokenize(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns token ids int32 [n, longest], and the number of tokens of each text, int [n]."""
        tokens = self._signatures["tokenize"](text=encode_utf8(texts))
        return tokens["token_ids"].numpy(), tokens["num_tokens"].numpy()

    def save(self, folder: str | Path, settings: FolderSettings) -> None:
        """Refuses: a SavedModel does not hold the weights by name."""
        raise UserError(
            f"{self._folder}: is a SavedModel, which cannot be saved as a sentence-transformers"
            " folder; `rejoinder export` wrote one beside it"
        )


def cut_steps(
    lengths: np.ndarray, order: np.ndarray, batch_size: int | None
) -> Iterator[np.ndarray]:
    """Divides texts, longest first, into steps of similar lengths and `STEP_TOKENS` tokens.

    Args:
        lengths: int [n], tokens of each text.
        order: int [n], texts by descending length.
        batch_size: Maximum number of texts in a step, or None for no limit.

    Yields:
        The texts of each step, int [≥ 1]; a single text may exceed the limit.
    """
    begin = 0
    while begin < len(order):
        longest = int(lengths[order[begin]])
        rows = max(1, STEP_TOKENS // longest)
        rows = min(rows, batch_size or rows)
        alike = int(np.count_nonzero(lengths[order[begin : begin + rows]] >= _MIN_FILL * longest))
        rows = min(rows, max(alike, -(-_MIN_STEP_TOKENS // longest)))
        yield order[begin : begin + rows]
        begin += rows


def encode_utf8(texts: list[str]) -> tf.Tensor:
    """Returns texts as UTF-8, string [n]; lone surrogates, which UTF-8 lacks, become `?`."""
    return tf.constant([text.encode("utf-8", "replace") for text in texts], tf.string)
