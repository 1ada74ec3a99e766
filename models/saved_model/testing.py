"""A tokenizer and an encoder for tests, small enough to export in a second.

They have the interfaces of `Tokenizer` and `SentenceEncoder`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

VOCAB_SIZE = 1000
DIMENSION = 16
_FIRST_WORD_ID = 3


class TinyTokens(NamedTuple):
    """The fields of `rejoinder.models.tokenizer.TokenizedText`."""

    ids: tf.RaggedTensor
    num_tokens: tf.Tensor
    truncated: tf.Tensor


class TinyTokenizer(tf.Module):
    """Hashes words between spaces to ids 3 to 999; the special ids are MPNet's."""

    bos_id, pad_id, eos_id, vocab_size = 0, 1, 2, VOCAB_SIZE
    fingerprint = "tiny"

    def __call__(self, texts: tf.Tensor, max_length: int = 128) -> TinyTokens:
        """Returns ids with both special tokens, cut to `max_length`."""
        words = tf.strings.split(tf.strings.lower(texts))
        buckets = VOCAB_SIZE - _FIRST_WORD_ID
        ids = _FIRST_WORD_ID + tf.ragged.map_flat_values(
            tf.strings.to_hash_bucket_fast, words, buckets
        )
        ids = tf.cast(ids, tf.int32)
        truncated = ids.row_lengths() > max_length - 2
        ids = ids[:, : max_length - 2]
        end = tf.ones([ids.nrows(), 1], tf.int32)
        ids = tf.concat([end * self.bos_id, ids, end * self.eos_id], axis=1)
        return TinyTokens(ids, tf.cast(ids.row_lengths(), tf.int32), truncated)


class TinyEncoder(tf.Module):
    """Returns the normalized mean of random word vectors; zeros for rows of padding."""

    def __init__(self, seed: int = 0):
        """Draws the table from `seed`: two seeds make two different models."""
        super().__init__()
        table = np.random.default_rng(seed).normal(size=[VOCAB_SIZE, DIMENSION])
        self.table = tf.Variable(table, dtype=tf.float32)

    def __call__(
        self,
        inputs: dict[str, tf.Tensor],
        training: bool = False,
        max_segments: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Encodes ids int32 [b, s] as float32 [b, d], or [b, max_segments, d] if packed."""
        ids = inputs["token_ids"]
        if max_segments is None:
            members = tf.cast(ids != TinyTokenizer.pad_id, tf.float32)[..., tf.newaxis]
        else:
            members = tf.one_hot(inputs["segment_ids"] - 1, max_segments)
        total = tf.matmul(members, tf.gather(self.table, ids), transpose_a=True)
        embedding = tf.math.l2_normalize(total, axis=-1)
        return embedding[:, 0] if max_segments is None else embedding

    def count_params(self) -> int:
        """Returns the number of weights."""
        return VOCAB_SIZE * DIMENSION


class TinyModel(NamedTuple):
    """The parts of `LoadedModel` that `write_saved_model` uses."""

    encoder: TinyEncoder
    tokenizer: TinyTokenizer
    max_length: int = 32


def publish_tiny(base: Path, *, seed: int = 0, version: int | None = None) -> Path:
    """Publishes a version of the tiny model under `base` and returns its folder."""
    from rejoinder.models.export import write_saved_model
    from rejoinder.models.saved_model.publish import publish

    model = TinyModel(TinyEncoder(seed), TinyTokenizer())
    return publish(
        base,
        lambda folder: write_saved_model(folder, model, name=base.name, source="tiny"),
        version=version,
    )
