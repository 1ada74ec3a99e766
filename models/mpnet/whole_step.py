"""Operations of an encoder layer in a step that XLA compiles as a whole, as for a TPU.

Such a step takes as long as its memory traffic: a TPU computes faster than it reads its operands.
Here activations keep the shape [b, s, ...] from layer to layer, and a head's queries, keys
and values are [size, s], the layout in which a TPU multiplies them. It needs fewer copies than
the layout of `attention.py`, which suits a CPU. The arithmetic is the same.
"""

import tensorflow as tf
import tf_keras
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

from rejoinder.models.mpnet import compiled


def compiled_as_a_whole() -> bool:
    """Returns whether XLA compiles the function that is being traced, with all that it calls."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph()))


def dense(layer: tf_keras.layers.Dense, inputs: tf.Tensor) -> tf.Tensor:
    """Applies a dense layer without activation to [b, s, d], in the layer's compute dtype."""
    with tf.name_scope(layer.name):
        dtype = layer.compute_dtype
        product = tf.einsum("bsd,dn->bsn", tf.cast(inputs, dtype), tf.cast(layer.kernel, dtype))
        return tf.nn.bias_add(product, tf.cast(layer.bias, dtype))


def attend(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    bias: tf.Tensor,
    mask: tf.Tensor,
    seed: tf.Tensor | None,
    rate: float,
) -> tf.Tensor:
    """Returns each query's average of the values, weighted by `dropout(softmax(scores))`.

    The backward pass takes the sum of `weight * gradient` over a row of the softmax from the
    output, which is smaller than the weights (Dao et al. 2022, "FlashAttention",
    https://arxiv.org/abs/2205.14135, appendix B.2), and adds up the gradient of the bias over
    the rows of the batch in the same pass.

    Args:
        query: floating [b, heads, size, s], scaled by 1/sqrt(size).
        key: As `query`, not scaled.
        value: As `key`.
        bias: float32 [heads, s, s], added to the scores.
        mask: float32, broadcastable to [b, heads, s, s]; added to the scores, has no gradient.
        seed: int32 [2] for dropout, or None for no dropout.
        rate: Probability that a weight is dropped, [0, 1).

    Returns:
        The shape and dtype of `query`.
    """
    dtype = query.dtype
    backward_scope = f"gradient_tape/{tf.get_current_name_scope()}".rstrip("/") + "/"

    @tf.custom_gradient
    def apply(query, key, value, bias):
        scores = tf.einsum("bhkq,bhks->bhqs", query, key)
        weights = tf.nn.softmax(tf.cast(scores, tf.float32) + (bias + mask))
        keep = None if seed is None else compiled.keep_mask(seed, tf.shape(weights), rate)

        def drop(values):
            values = tf.cast(values, tf.float32)
            return values if keep is None else compiled.drop(values, keep, rate)

        dropped = tf.cast(drop(weights), dtype)
        context = tf.einsum("bhqs,bhks->bhkq", dropped, value)

        def gradient(upstream):
            with tf.name_scope(backward_scope):
                by_value = tf.einsum("bhkq,bhqs->bhks", upstream, dropped)
                by_dropped = tf.einsum("bhkq,bhks->bhqs", upstream, value)
                products = tf.cast(upstream, tf.float32) * tf.cast(context, tf.float32)
                inner = tf.reduce_sum(products, axis=2)[..., tf.newaxis]
                by_scores = weights * (drop(by_dropped) - inner)
                by_bias = tf.reduce_sum(by_scores, axis=0)
                by_scores = tf.cast(by_scores, dtype)
                by_query = tf.einsum("bhqs,bhks->bhkq", by_scores, key)
                by_key = tf.einsum("bhqs,bhkq->bhks", by_scores, query)
                return by_query, by_key, by_value, by_bias

        return context, gradient

    return apply(query, key, value, bias)
