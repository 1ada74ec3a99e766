"""Removes negatives that a guide model finds closer to a text than its own partner.

GISTEmbed (https://arxiv.org/abs/2402.16829), with the guide's vectors from the corpus: they are
computed once, by `rejoinder mine --guide`, and not in every step.
"""

import tensorflow as tf

from rejoinder.trainer.distribution.collectives import gather_rows
from rejoinder.trainer.loss_ops import MASKED


def guide_masks(features: dict[str, tf.Tensor], truth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what is added to the logits of both directions: `MASKED` or 0.

    Args:
        features: `guide_context` and `guide_response`, int8 [n, d], all in the same unit.
        truth: 1 for the column of the row's own pair, float32 [n, N].

    Returns:
        float32 [n, N] for the direction from context to response, and for the other one.
    """
    context, response = (
        tf.cast(features[name], tf.float32) for name in ("guide_context", "guide_response")
    )
    all_context, all_response = tf.split(gather_rows(tf.concat([context, response], -1)), 2, -1)
    own = tf.reduce_sum(context * response, -1, keepdims=True)

    def mask(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        closer = tf.matmul(rows, columns, transpose_b=True) > own
        return tf.where(closer & (truth < 0.5), MASKED, 0.0)

    return mask(context, all_response), mask(response, all_context)
