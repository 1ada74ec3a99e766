"""Encodes the sentences of a batch, whole or piece by piece."""

import tensorflow as tf

from rejoinder.models.packing import gather_segments

ROW_FEATURES = ("token_ids", "segment_ids", "positions")


def encode_rows(
    encoder, rows: dict[str, tf.Tensor], max_segments: int, seed: tf.Tensor | None
) -> tf.Tensor:
    """Returns the embeddings of every place for a sentence, float32 [rows, places, d].

    Packed rows have `max_segments` places each, padded rows one. `seed` (int32
    [2]) decides the dropout masks; without one nothing is dropped.
    """
    training = seed is not None
    if "segment_ids" in rows:
        return encoder(rows, training=training, max_segments=max_segments, seed=seed)
    return encoder(rows, training=training, seed=seed)[:, tf.newaxis]


def split_pairs(places: tf.Tensor, features: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (context, response), each [n, d], from the embeddings of all places."""
    if "slots" in features:
        sentences = gather_segments(places, features["slots"])
    else:
        sentences = places[:, 0]
    context, response = tf.split(sentences, 2, axis=0)
    return context, response


def row_features(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the features that the encoder reads."""
    return {name: features[name] for name in ROW_FEATURES if name in features}
