"""Operations on embeddings and keys that the parts of the loss share."""

import tensorflow as tf

MASKED = -1e9  # added to a masked logit: exp underflows to 0 in float32


def prefix(embeddings: tf.Tensor, dim: int) -> tf.Tensor:
    """Returns the first `dim` components of the last axis, scaled to unit length."""
    if dim == embeddings.shape[-1]:
        return embeddings
    return tf.math.l2_normalize(embeddings[..., :dim], -1)


def equal_keys(keys: tf.Tensor, others: tf.Tensor | int) -> tf.Tensor:
    """Returns where keys, int32 [..., 2], are equal; the other axes are broadcast."""
    return tf.reduce_all(keys == others, -1)
