"""Building blocks of MPNet's layers: normalization, dense layers, dropout, GELU."""

import math

import tensorflow as tf
import tf_keras


@tf_keras.saving.register_keras_serializable("rejoinder")
class LayerNorm(tf_keras.layers.Layer):
    """Layer normalization over the last axis, in float32 under every policy.

    Args:
        size: Length of the last axis.
        epsilon: Added to the variance.
    """

    def __init__(self, size: int, epsilon: float, name: str = "layer_norm", **kwargs):
        super().__init__(name=name, **(kwargs | {"dtype": "float32"}))
        self.size, self.epsilon = size, epsilon
        with tf.name_scope(name):
            self.gamma = self.add_weight(name="gamma", shape=[size], initializer="ones")
            self.beta = self.add_weight(name="beta", shape=[size], initializer="zeros")
        self.built = True

    def call(self, inputs):
        """Normalizes float32 [..., size]."""
        centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + self.epsilon) * self.gamma + self.beta

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"size": self.size, "epsilon": self.epsilon}


def normal(stddev: float) -> tf_keras.initializers.Initializer:
    """Returns a new initializer, because one instance returns the same values each time."""
    return tf_keras.initializers.RandomNormal(stddev=stddev)


def dense(
    inputs: int, units: int, name: str, init_range: float, dtype, activation=None
) -> tf_keras.layers.Dense:
    """Returns a dense layer with its variables created."""
    layer = tf_keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=normal(init_range),
        name=name,
        dtype=dtype,
    )
    with tf.name_scope(name):
        layer.build([None, inputs])
    return layer


def without_bias(layer: tf_keras.layers.Dense, inputs: tf.Tensor) -> tf.Tensor:
    """Applies a dense layer without its bias and activation.

    Args:
        layer: The dense layer.
        inputs: floating [n, inputs].

    Returns:
        [n, units] in the layer's compute dtype.
    """
    return tf.matmul(tf.cast(inputs, layer.compute_dtype), layer.kernel)


def site_seed(rate: float, seed: tf.Tensor | None, site: int) -> tf.Tensor | None:
    """Returns the seed of one place with dropout, or None if it has no dropout.

    Its mask is a pure function of `seed` and `site`: the same when activations are
    recomputed in the backward pass, and when a step is repeated in parts.

    Args:
        rate: Probability that an element is dropped.
        seed: int32 [2], or None for no dropout.
        site: A number that is different for each use of a seed.

    Returns:
        int32 [2], or None.
    """
    if seed is None or rate == 0:
        return None
    return tf.random.experimental.stateless_fold_in(seed, site)


def gelu(inputs: tf.Tensor) -> tf.Tensor:
    """Exact GELU, `x Φ(x)` with the error function.

    The operations are in the order that TensorFlow's graph optimizer fuses with the
    preceding matrix product.
    """
    one, half = tf.cast(1.0, inputs.dtype), tf.cast(0.5, inputs.dtype)
    root = tf.cast(1 / math.sqrt(2), inputs.dtype)
    return ((tf.math.erf(inputs * root) + one) * half) * inputs
