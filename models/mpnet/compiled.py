"""Dropout and its neighbours, compiled by XLA into a few passes over memory.

As separate operations, dropout, residual sum, normalization, GELU and their gradients read
and write every activation dozens of times, which takes longer than some of the matrix
products between them. Each function here is one compiled program for the forward and
one for the backward pass.

Calls without dropout use the plain operations of `layers.py` and `attention.py`, whose
rounding does not depend on a compiler.
"""

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

_Function = Callable[..., Any]

_ROUNDS = 13
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


@functools.cache
def host_has_xla() -> bool:
    """Returns whether XLA can compile for the CPU; `tensorflow-tpu` cannot.

    A step on a TPU is compiled as a whole, these programs with it. The first program of a
    process makes XLA print two lines that no log level removes, so this one has no stderr.
    """
    with tf.init_scope(), tf.device("CPU:0"), _without_stderr():
        try:
            tf.function(lambda: tf.constant(0) + 1, jit_compile=True, autograph=False)()
        except tf.errors.OpError:
            return False
    return True


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """Discards what C++ code of this process writes to standard error."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _compiled(function: _Function) -> _Function:
    """Returns the function as one compiled program where there is a compiler."""

    @functools.cache
    def program() -> _Function:
        jit_compile = True if host_has_xla() else None
        return tf.function(function, jit_compile=jit_compile, autograph=False)

    # The devices must not be looked at before the first call: importing must not start them.
    return functools.wraps(function)(lambda *arguments: program()(*arguments))


def keep_mask(seed: tf.Tensor, shape: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns the elements that dropout keeps, the same on every device.

    Args:
        seed: int32 [2].
        shape: int32 [k], a shape with fewer than 2^31 elements.
        rate: Probability that an element is dropped, rounded to a multiple of 2^-32.

    Returns:
        bool [*shape].
    """
    first, *others = tf.unstack(shape)
    # The numbers of the elements have the mask's shape: reshaping a vector is a copy on a TPU.
    number = tf.range(first)
    for length in others:
        number = number[..., tf.newaxis] * length + tf.range(length)
    return threefry(number, seed) >= tf.constant(round(rate * 2**32), tf.uint32)


def threefry(counter: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Returns 32 random bits for each number: the first word of Threefry-2x32 with 13 rounds.

    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3",
    https://doi.org/10.1145/2063384.2063405. It needs additions, rotations and exclusive or
    only, which processors do for 16 elements at once; 13 rounds pass BigCrush.

    Args:
        counter: int32 [...].
        key: int32 [2].

    Returns:
        uint32, the shape of `counter`.
    """
    xor = tf.bitwise.bitwise_xor
    first, second = tf.unstack(tf.bitcast(key, tf.uint32))
    keys = (first, second, xor(xor(first, second), tf.constant(0x1BD11BDA, tf.uint32)))
    left = tf.bitcast(counter, tf.uint32) + keys[0]
    right = tf.zeros_like(left) + keys[1]
    for number in range(_ROUNDS):
        left += right
        right = xor(_rotate(right, _ROTATIONS[number % 8]), left)
        if number % 4 == 3:
            block = number // 4 + 1
            left += keys[block % 3]
            right += keys[(block + 1) % 3] + tf.constant(block, tf.uint32)
    return left


def _rotate(value: tf.Tensor, distance: int) -> tf.Tensor:
    left = tf.bitwise.left_shift(value, tf.constant(distance, tf.uint32))
    right = tf.bitwise.right_shift(value, tf.constant(32 - distance, tf.uint32))
    return tf.bitwise.bitwise_or(left, right)


def drop(values: tf.Tensor, keep: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns float32 values, 0 where dropped and the others scaled to the same expectation."""
    return tf.where(keep, tf.cast(values, tf.float32) * (1 / (1 - rate)), 0.0)


def dropout(inputs: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """Applies dropout.

    Args:
        inputs: floating [...].
        seed: int32 [2].
        rate: Probability that an element is dropped, (0, 1).

    Returns:
        The shape and dtype of `inputs`.
    """

    @tf.custom_gradient
    def apply(inputs):
        outputs, keep = _dropout(inputs, seed, rate)
        return outputs, lambda upstream: _dropout_gradient(upstream, keep, rate)

    return apply(inputs)


@_compiled
def _dropout(inputs, seed, rate):
    keep = keep_mask(seed, tf.shape(inputs), rate)
    return tf.cast(drop(inputs, keep, rate), inputs.dtype), keep


@_compiled
def _dropout_gradient(upstream, keep, rate):
    return tf.cast(drop(upstream, keep, rate), upstream.dtype)


def softmax_dropout(scores: tf.Tensor, bias: tf.Tensor, seed: tf.Tensor, rate: float) -> tf.Tensor:
    """Returns `dropout(softmax(scores + bias))`, computed in float32.

    Args:
        scores: floating [b, heads, s, s].
        bias: float32 [b, heads, s, s].
        seed: int32 [2].
        rate: Probability that a weight is dropped, (0, 1).

    Returns:
        The shape and dtype of `scores`.
    """

    @tf.custom_gradient
    def apply(scores, bias):
        # TensorFlow's own softmax reads a row once, the compiled one several times.
        weights = tf.nn.softmax(tf.cast(scores, tf.float32) + bias)
        outputs, keep = _dropout_as(weights, seed, rate, scores.dtype)

        def gradient(upstream):
            return _softmax_dropout_gradient(weights, keep, upstream, rate)

        return outputs, gradient

    return apply(scores, bias)


@_compiled
def _dropout_as(weights, seed, rate, dtype):
    keep = keep_mask(seed, tf.shape(weights), rate)
    return tf.cast(drop(weights, keep, rate), dtype), keep


@_compiled
def _softmax_dropout_gradient(weights, keep, upstream, rate):
    by_dropped = drop(upstream, keep, rate)
    inner = tf.reduce_sum(weights * by_dropped, axis=-1, keepdims=True)
    by_bias = weights * (by_dropped - inner)
    return tf.cast(by_bias, upstream.dtype), by_bias


def split_heads(
    inputs: tf.Tensor, bias: tf.Tensor, heads: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns query, key and value of each head from `inputs + bias`.

    Args:
        inputs: floating [b, s, 3 * heads * size].
        bias: [3 * heads * size] in the dtype of `inputs`.
        heads: Number of heads.

    Returns:
        Query scaled by 1/sqrt(size), key and value, [b, heads, s, size] each in the dtype of
        `inputs`.
    """
    scale = 1 / math.sqrt(inputs.shape[-1] // (3 * heads))

    @tf.custom_gradient
    def apply(inputs, bias):
        def gradient(by_query, by_key, by_value):
            # The compiled transpose into one matrix is slower than TensorFlow's.
            stacked = tf.stack([by_query * tf.cast(scale, by_query.dtype), by_key, by_value])
            by_inputs = tf.reshape(tf.transpose(stacked, [1, 3, 0, 2, 4]), tf.shape(inputs))
            return by_inputs, _bias_gradient(by_inputs)

        return _split_heads(inputs, bias, heads, scale), gradient

    return apply(inputs, tf.convert_to_tensor(bias))


@_compiled
def _split_heads(inputs, bias, heads, scale):
    rows, length = tf.unstack(tf.shape(inputs)[:2])
    shape = [rows, length, 3, heads, inputs.shape[-1] // (3 * heads)]
    values = tf.reshape(_biased(inputs, bias), shape)
    query, key, value = tf.unstack(tf.transpose(values, [2, 0, 3, 1, 4]))
    return tuple(tf.cast(part, inputs.dtype) for part in (query * scale, key, value))


def gelu(inputs: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Returns the exact GELU of `inputs + bias`, computed in float32.

    Args:
        inputs: floating [..., d].
        bias: [d] in the dtype of `inputs`, or None if `inputs` include it.

    Returns:
        The shape and dtype of `inputs`.
    """
    if bias is None:
        apply = tf.custom_gradient(
            lambda inputs: (_gelu(inputs), lambda upstream: _gelu_gradient(inputs, None, upstream))
        )
        return apply(inputs)

    @tf.custom_gradient
    def apply_biased(inputs, bias):
        def gradient(upstream):
            by_inputs = _gelu_gradient(inputs, bias, upstream)
            return by_inputs, _bias_gradient(by_inputs)

        return _gelu(inputs, bias), gradient

    return apply_biased(inputs, tf.convert_to_tensor(bias))


@_compiled
def _gelu(inputs, bias=None):
    values = _biased(inputs, bias)
    return tf.cast(values * _normal_cdf(values), inputs.dtype)


@_compiled
def _gelu_gradient(inputs, bias, upstream):
    values = _biased(inputs, bias)
    density = tf.exp(-0.5 * tf.square(values)) * (1 / math.sqrt(2 * math.pi))
    slope = _normal_cdf(values) + values * density
    return tf.cast(tf.cast(upstream, tf.float32) * slope, inputs.dtype)


def _biased(values: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """Returns `values + bias` in float32.

    In bfloat16, oneDNN's product with a fused bias takes up to twice the time of one without.
    """
    values = tf.cast(values, tf.float32)
    return values if bias is None else values + tf.cast(bias, tf.float32)


def _bias_gradient(upstream: tf.Tensor) -> tf.Tensor:
    """Returns the sum over all axes but the last; as a part of a block it takes longer."""
    return tf.raw_ops.BiasAddGrad(out_backprop=upstream)


def _normal_cdf(values: tf.Tensor) -> tf.Tensor:
    return 0.5 * (1 + tf.math.erf(values * math.sqrt(0.5)))


def dropout_sum_norm(
    inputs: tf.Tensor,
    residual: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    seed: tf.Tensor,
    rate: float,
    epsilon: float,
) -> tf.Tensor:
    """Returns `layer_norm(dropout(inputs) + residual)`, computed in float32.

    Args:
        inputs: floating [..., d].
        residual: float32 [..., d].
        gamma: float32 [d], scale of the normalization.
        beta: float32 [d], offset of the normalization.
        seed: int32 [2].
        rate: Probability that an element is dropped, (0, 1).
        epsilon: Added to the variance.

    Returns:
        float32 [..., d].
    """

    @tf.custom_gradient
    def apply(inputs, residual, gamma, beta):
        outputs, total, mean, scale, keep = _dropout_sum_norm(
            inputs, residual, gamma, beta, seed, rate, epsilon
        )

        def gradient(upstream):
            by_inputs, by_total, by_gamma = _dropout_sum_norm_gradient(
                total, mean, scale, keep, gamma, upstream, rate, inputs.dtype
            )
            return by_inputs, by_total, by_gamma, _sum_of_rows(upstream)

        return outputs, gradient

    return apply(inputs, residual, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


@_compiled
def _dropout_sum_norm(inputs, residual, gamma, beta, seed, rate, epsilon):
    keep = keep_mask(seed, tf.shape(inputs), rate)
    total = drop(inputs, keep, rate) + residual
    mean = tf.reduce_mean(total, axis=-1, keepdims=True)
    centred = total - mean
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    scale = tf.math.rsqrt(variance + epsilon)
    return centred * scale * gamma + beta, total, mean, scale, keep


@_compiled
def _dropout_sum_norm_gradient(total, mean, scale, keep, gamma, upstream, rate, dtype):
    normalized = (total - mean) * scale
    by_normalized = upstream * gamma
    average = tf.reduce_mean(by_normalized, axis=-1, keepdims=True)
    inner = tf.reduce_mean(by_normalized * normalized, axis=-1, keepdims=True)
    by_total = scale * (by_normalized - average - normalized * inner)
    by_inputs = tf.cast(drop(by_total, keep, rate), dtype)
    return by_inputs, by_total, _sum_of_rows(upstream * normalized)


def _sum_of_rows(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, axis=list(range(values.shape.rank - 1)))
