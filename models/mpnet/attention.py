"""Self-attention with one relative position bias that all layers share."""

import math

import numpy as np
import tensorflow as tf
import tf_keras

from rejoinder.models.mpnet import compiled, whole_step
from rejoinder.models.mpnet.layers import dense, normal, site_seed, without_bias

MAX_DISTANCE = 128
# Added to the scores of masked positions. It is finite because the softmax of a row
# of padding only would otherwise be NaN.
MASKED = -1e9


def relative_buckets(length: int, num_buckets: int, max_distance: int = MAX_DISTANCE) -> np.ndarray:
    """Returns the bucket of every (query, key) pair of positions, int32 [length, length].

    T5's bidirectional buckets (Raffel et al. 2020): half for keys after the
    query; in each half, small distances have a bucket of their own and larger
    ones share logarithmically wider buckets up to `max_distance`.
    """
    offset = np.arange(length)[:, None] - np.arange(length)[None, :]
    half = num_buckets // 2
    exact = half // 2
    distance = np.abs(offset)
    # float32 as in the original, because rounding decides at the edges of buckets.
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    scaled = ratio / np.float32(math.log(max_distance / exact)) * np.float32(half - exact)
    large = np.minimum(exact + scaled.astype(np.int32), half - 1)
    bucket = np.where(distance < exact, distance, large)
    return (np.where(offset < 0, half, 0) + bucket).astype(np.int32)


@tf_keras.saving.register_keras_serializable("rejoinder")
class RelativeBias(tf_keras.layers.Layer):
    """The learned bias of each head for each relative position, kept in float32.

    Args:
        num_buckets: Rows of the table.
        num_heads: Columns of the table.
        max_length: Maximum number of tokens in a row.
        init_range: Standard deviation of the initial values.
    """

    def __init__(
        self, num_buckets: int, num_heads: int, max_length: int, init_range: float, **kwargs
    ):
        super().__init__(**({"name": "relative_bias"} | kwargs | {"dtype": "float32"}))
        self.num_buckets, self.num_heads = num_buckets, num_heads
        self.max_length, self.init_range = max_length, init_range
        with tf.name_scope(self.name):
            self.table = self.add_weight(
                name="table",
                shape=[num_buckets, num_heads],
                initializer=normal(init_range),
            )
        self.built = True

    def call(self, length):
        """Returns float32 [heads, length, length] for a number or scalar tensor."""
        static = tf.get_static_value(length)
        if static is not None:
            buckets = tf.constant(relative_buckets(int(static), self.num_buckets))
        else:
            full = relative_buckets(self.max_length, self.num_buckets)
            buckets = tf.constant(full)[:length, :length]
        return tf.transpose(tf.gather(self.table, buckets), [2, 0, 1])

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "num_buckets": self.num_buckets,
            "num_heads": self.num_heads,
            "max_length": self.max_length,
            "init_range": self.init_range,
        }


@tf_keras.saving.register_keras_serializable("rejoinder")
class SelfAttention(tf_keras.layers.Layer):
    """Multi-head self-attention; query, key and value are one matrix product.

    Args:
        hidden_size: Width of inputs and outputs.
        num_heads: Number of heads.
        dropout_rate: Dropout on the attention weights.
        init_range: Standard deviation of the initial weights.
    """

    def __init__(
        self, hidden_size: int, num_heads: int, dropout_rate: float, init_range: float, **kwargs
    ):
        super().__init__(**({"name": "attention"} | kwargs))
        self.hidden_size, self.num_heads = hidden_size, num_heads
        self.dropout_rate, self.init_range = dropout_rate, init_range
        dtype = self._dtype_policy
        with tf.name_scope(self.name):
            self.qkv = dense(hidden_size, 3 * hidden_size, "query_key_value", init_range, dtype)
            self.output_dense = dense(hidden_size, hidden_size, "output", init_range, dtype)
        self.built = True

    def call(self, inputs, bias, rows, token_mask=None, seed=None, site=0):
        """Applies self-attention.

        Args:
            inputs: [b * s, hidden], the concatenated tokens of all rows; [b, s, hidden]
                with `token_mask`.
            bias: float32, broadcastable to [b, heads, s, s]; added to the scores
                after their scaling by 1/sqrt(head size). [heads, s, s] with `token_mask`.
            rows: Number of rows, b.
            token_mask: float32, broadcastable to [b, heads, s, s], given in a step that is
                compiled as a whole; added to `bias`.
            seed: int32 [2] for dropout, or None for no dropout.
            site: See `site_seed`.

        Returns:
            The shape of `inputs`.
        """
        if token_mask is not None:
            own_seed = site_seed(self.dropout_rate, seed, site)
            return self._call_whole(inputs, bias, rows, token_mask, own_seed)
        heads = self.num_heads
        size = self.hidden_size // heads
        own_seed = site_seed(self.dropout_rate, seed, site)
        if own_seed is None:
            qkv = tf.reshape(self.qkv(inputs), [rows, -1, 3, heads, size])
            query, key, value = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
            query *= tf.cast(1 / math.sqrt(size), query.dtype)
        else:
            qkv = tf.reshape(without_bias(self.qkv, inputs), [rows, -1, 3 * heads * size])
            query, key, value = compiled.split_heads(qkv, self.qkv.bias, heads)
        scores = tf.matmul(query, key, transpose_b=True)
        if own_seed is None:
            weights = tf.nn.softmax(tf.cast(scores, tf.float32) + bias)
            weights = tf.cast(weights, value.dtype)
        else:
            weights = compiled.softmax_dropout(scores, bias, own_seed, self.dropout_rate)
        context = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        return self.output_dense(tf.reshape(context, [-1, heads * size]))

    def _call_whole(self, inputs, bias, rows, token_mask, seed):
        heads, hidden = self.num_heads, self.hidden_size
        product = tf.einsum("bsd,dn->bns", inputs, self.qkv.kernel)
        query, key, value = (
            tf.reshape(part, [rows, heads, hidden // heads, -1])
            + tf.reshape(offset, [heads, hidden // heads, 1])
            for part, offset in zip(
                tf.split(product, 3, axis=1), tf.split(self.qkv.bias, 3), strict=True
            )
        )
        query *= tf.cast(1 / math.sqrt(hidden // heads), query.dtype)
        context = whole_step.attend(query, key, value, bias, token_mask, seed, self.dropout_rate)
        context = tf.reshape(context, [rows, hidden, -1])
        output = tf.einsum("bns,nd->bsd", context, self.output_dense.kernel)
        return tf.nn.bias_add(output, self.output_dense.bias)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "hidden_size": self.hidden_size,
            "num_heads": self.num_heads,
            "dropout_rate": self.dropout_rate,
            "init_range": self.init_range,
        }
