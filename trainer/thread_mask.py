"""Removes negatives of the row's own thread.

Texts of one thread may fit each other without being equal, such as two captions of one picture.
"""

import tensorflow as tf

from rejoinder.trainer.distribution.collectives import gather_rows
from rejoinder.trainer.loss_ops import MASKED


def thread_mask(features: dict[str, tf.Tensor], truth: tf.Tensor) -> tf.Tensor:
    """Returns what is added to the logits of both directions: `MASKED` or 0.

    Args:
        features: `thread_key`, int32 [n, 2], 0 for a pair without a thread, and `data_set`,
            int32 [n]: the same name in two data sets is not the same thread.
        truth: 1 for the column of the row's own pair, float32 [n, N].

    Returns:
        float32 [n, N].
    """
    own = tf.concat([features["thread_key"], features["data_set"][:, tf.newaxis]], -1)
    same = tf.reduce_all(own[:, tf.newaxis] == gather_rows(own), -1)
    known = tf.reduce_any(features["thread_key"] != 0, -1, keepdims=True)
    return tf.where(same & known & (truth < 0.5), MASKED, 0.0)
