"""Embeds texts with a trained model.

from rejoinder import Encoder

encoder = Encoder.load("sentence-transformers/all-mpnet-base-v2")
embeddings = encoder.encode(["This is an example sentence", "Each sentence is converted"])
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path

import numpy as np
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.models.loading import LoadedModel, load_model
from rejoinder.models.model_dir import is_model_dir
from rejoinder.models.saved_model.publish import find_saved_model

# Texts read ahead and sorted by length, so that the texts of a step are about
# equally long and need little padding.
WINDOW = 4096
# Tokens in a step when the caller sets no batch size: enough for each core to run
# its matrix products at full rate. With four times as many, a token takes a quarter
# longer, because activations no longer fit into the cores' caches.
STEP_TOKENS = min(512 * (os.cpu_count() or 1), 16_384)
# A step that is a quarter full ends before a text that would be padded by more than
# a tenth: smaller products run a little slower, but padding costs more.
_MIN_STEP_TOKENS = STEP_TOKENS // 4
_MIN_FILL = 0.9
PRECISIONS = ("float32", "bfloat16")


class Encoder:
    """Embeds texts with a trained model.

    Attributes:
        dimension: Components of an embedding.
    """

    def __init__(self, embed: Callable[[list[str], int | None], np.ndarray], dimension: int):
        """Wraps a function from up to `WINDOW` texts to their embeddings."""
        self._embed = embed
        self.dimension = dimension

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        checkpoint: str | None = None,
        max_length: int | None = None,
        precision: str = "float32",
    ) -> "Encoder":
        """Loads a model.

        Args:
            path: Sentence-transformers or Hugging Face folder, hub name, folder of
                a training run, SavedModel, or folder of SavedModel versions, of which
                the newest is loaded.
            checkpoint: Checkpoint of a training run; the latest by default.
            max_length: Tokens after which a text is cut; the model's own by default.
            precision: `float32`, or `bfloat16` for about twice the speed where the
                processor has bfloat16 instructions, with cosine above 0.999 to float32.

        Raises:
            UserError: There is no such model, or an option does not apply to it.
        """
        if precision not in PRECISIONS:
            raise UserError(f"precision: must be float32 or bfloat16, got {precision}")
        saved_model = None if is_model_dir(path) else find_saved_model(path)
        if saved_model:
            if checkpoint or max_length or precision != "float32":
                raise UserError(
                    f"{path}: is a SavedModel, whose checkpoint, max_length and precision were"
                    " fixed when it was exported"
                )
            return _from_saved_model(saved_model)
        loaded = load_model(path, checkpoint=checkpoint)
        if precision != "float32":
            loaded = dataclasses.replace(loaded, encoder=loaded.encoder.stored_as(precision))
        return cls.from_loaded(loaded, max_length=max_length)

    @classmethod
    def from_loaded(cls, loaded: LoadedModel, *, max_length: int | None = None) -> "Encoder":
        """Makes an encoder of a loaded model.

        Args:
            loaded: The model.
            max_length: Tokens after which a text is cut; the model's own by default.

        Raises:
            UserError: `max_length` is out of range.
        """
        longest = loaded.encoder.config.max_length
        if max_length is not None and not 3 <= max_length <= longest:
            raise UserError(f"max_length: must be between 3 and {longest}, got {max_length}")
        embed = _KerasEmbedder(loaded, max_length or loaded.max_length)
        return cls(embed, loaded.encoder.config.hidden_size)

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> np.ndarray:
        """Embeds texts.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Maximum number of texts in a step; by default chosen from their lengths.
            show_progress_bar: Whether to show progress on standard error.

        Returns:
            float32 [n, dimension] of unit length, in the order of `texts`;
            [dimension] for a single string.

        Raises:
            TypeError: A text is not a string.
        """
        if isinstance(texts, str):
            return self.encode([texts], batch_size=batch_size)[0]
        parts = list(self.stream(texts, batch_size=batch_size, show_progress_bar=show_progress_bar))
        if not parts:
            return np.zeros([0, self.dimension], np.float32)
        return np.concatenate(parts)

    def stream(
        self,
        texts: Iterable[str],
        *,
        batch_size: int | None = None,
        show_progress_bar: bool = False,
    ) -> Iterator[np.ndarray]:
        """Embeds texts block by block, in memory that does not grow with their number.

        Args:
            texts: Any iterable of texts; it may be endless.
            batch_size: As in `encode`.
            show_progress_bar: As in `encode`.

        Yields:
            float32 [up to 4096, dimension] of unit length, in the order of `texts`.

        Raises:
            TypeError: A text is not a string.
            ValueError: `batch_size` is below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        total = len(texts) if isinstance(texts, Sized) else None
        iterator = iter(texts)
        with _progress(total, show_progress_bar) as advance:
            while window := list(itertools.islice(iterator, WINDOW)):
                for text in window:
                    if not isinstance(text, str):
                        raise TypeError(f"texts must be strings, got {type(text).__name__}")
                yield self._embed(window, batch_size)
                advance.update(len(window))


class _KerasEmbedder:
    """Tokenizes a window, sorts it by length and encodes it in steps."""

    def __init__(self, loaded: LoadedModel, max_length: int):
        self._loaded = loaded
        self._max_length = max_length
        self._tokenize = tf.function(
            lambda texts: loaded.tokenizer(texts, max_length),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )
        self._step = tf.function(
            lambda token_ids: loaded.encoder({"token_ids": token_ids}, training=False),
            input_signature=[tf.TensorSpec([None, None], tf.int32)],
        )

    def __call__(self, texts: list[str], batch_size: int | None) -> np.ndarray:
        """Returns float32 [n, dimension]."""
        tokens = self._tokenize(encode_utf8(texts))
        lengths = tokens.num_tokens.numpy()
        flat, starts = tokens.ids.flat_values.numpy(), tokens.ids.row_starts().numpy()
        order = np.argsort(-lengths, kind="stable")
        pad_id = self._loaded.tokenizer.pad_id
        result = np.empty([len(texts), self._loaded.encoder.config.hidden_size], np.float32)
        for rows in cut_steps(lengths, order, batch_size):
            token_ids = np.full([len(rows), lengths[rows].max()], pad_id, np.int32)
            for line, row in zip(token_ids, rows, strict=True):
                line[: lengths[row]] = flat[starts[row] : starts[row] + lengths[row]]
            result[rows] = self._step(tf.constant(token_ids)).numpy()
        return result


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


def _from_saved_model(folder: str) -> Encoder:
    """Makes an encoder of an exported SavedModel."""
    import tensorflow_text  # noqa: F401 - registers the tokenizer's operations

    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures["serving_default"]

    def embed(texts: list[str], batch_size: int | None) -> np.ndarray:
        # The model groups texts by length itself; sorting gives it similar lengths.
        order = np.argsort([-len(text) for text in texts], kind="stable")
        result = np.empty([len(texts), dimension], np.float32)
        for rows in np.split(order, range(batch_size or 256, len(order), batch_size or 256)):
            step = encode_utf8([texts[row] for row in rows])
            result[rows] = signature(text=step)["embedding"].numpy()
        return result

    # The signature is only valid while the loaded object exists.
    embed.loaded = loaded  # type: ignore[attr-defined]
    dimension = int(signature.structured_outputs["embedding"].shape[-1])
    return Encoder(embed, dimension)


def _progress(total: int | None, show: bool):
    """Returns a progress bar in texts."""
    from tqdm import tqdm

    return tqdm(total=total, disable=not show, unit=" texts", unit_scale=True)
