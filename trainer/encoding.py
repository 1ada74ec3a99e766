"""Encodes the sentences of a batch, or of a chunk of its rows."""

import tensorflow as tf

from rejoinder.models.packing import gather_segments
from rejoinder.models.sentence_encoder import SentenceEncoder

ROW_FEATURES = ("token_ids", "segment_ids", "positions")


def encode_rows(
    encoder: SentenceEncoder,
    rows: dict[str, tf.Tensor],
    max_segments: int,
    seed: tf.Tensor | None,
) -> tf.Tensor:
    """Returns the embeddings of every segment of every row, float32 [rows, segments, d].

    Packed rows have `max_segments` segments each, padded rows one. `seed` (int32
    [2]) is the seed of the dropout masks; None means no dropout.
    """
    training = seed is not None
    if "segment_ids" in rows:
        return encoder(rows, training=training, max_segments=max_segments, seed=seed)
    return encoder(rows, training=training, seed=seed)[:, tf.newaxis]


def split_pairs(segments: tf.Tensor, features: dict[str, tf.Tensor]) -> list[tf.Tensor]:
    """Returns contexts, responses, each column of negatives, and earlier turns, [n, d] each."""
    if "slots" in features:
        sentences = gather_segments(segments, features["slots"])
    else:
        sentences = segments[:, 0]
    count = 2 + negatives_of(features) + ("earlier_key" in features)
    columns: list[tf.Tensor] = tf.split(sentences, count, axis=0)
    return columns


def negatives_of(features: dict[str, tf.Tensor]) -> int:
    """Returns the number of hard negatives of each pair."""
    return int(features["negative_key"].shape[1]) if "negative_key" in features else 0


def row_features(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the features that the encoder reads."""
    return {name: features[name] for name in ROW_FEATURES if name in features}
