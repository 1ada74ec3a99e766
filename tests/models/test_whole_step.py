"""A step that XLA compiles as a whole against the plain operations."""

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.models.mpnet import compiled, whole_step

SEED = tf.constant([3, 4])
RATE = 0.3


@pytest.mark.host_xla
def test_a_step_compiled_as_a_whole_has_the_plain_loss_and_gradients(make_encoder):
    encoder = make_encoder()
    ids = np.random.default_rng(5).integers(3, 39, [3, 12])
    segments, positions = [1] * 4 + [2] * 6 + [0] * 2, [*range(4), *range(6), 0, 0]
    rows = {
        name: tf.constant(np.broadcast_to(value, [3, 12]), tf.int32)
        for name, value in (("token_ids", ids), ("segment_ids", segments), ("positions", positions))
    }
    weights = np.random.default_rng(1).normal(size=[3, 2, 16]).astype(np.float32)

    def step(rows):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(rows, max_segments=2) * weights)
        gradients = tape.gradient(loss, encoder.trainable_variables)
        return [loss, *map(tf.convert_to_tensor, gradients)]

    whole = tf.function(step, jit_compile=True)(rows)
    for one, other in zip(whole, tf.function(step)(rows), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max(), rtol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(tf.float32, 1e-5), (tf.bfloat16, 2e-2)])
@pytest.mark.parametrize("seed", [SEED, None], ids=["dropout", "no dropout"])
def test_attention_and_its_gradients_equal_plain_operations(dtype, tolerance, seed):
    query, key, value, upstream = (
        tf.cast(tf.random.stateless_normal([2, 3, 4, 6], [7, index]), dtype) for index in range(4)
    )
    bias = tf.random.stateless_normal([3, 6, 6], [7, 4])
    mask = tf.constant([0.0, 0.0, 0.0, 0.0, -1e9, -1e9])

    def ours(query, key, value, bias):
        return whole_step.attend(query, key, value, bias, mask, seed, RATE)

    def plain(query, key, value, bias):
        scores = tf.matmul(query, key, transpose_a=True)
        weights = tf.nn.softmax(tf.cast(scores, tf.float32) + bias + mask)
        if seed is not None:
            keep = compiled.keep_mask(seed, tf.constant([2, 3, 6, 6]), RATE)
            weights = tf.where(keep, weights / (1 - RATE), 0.0)
        return tf.matmul(value, tf.cast(weights, dtype), transpose_b=True)

    def context_and_gradients(function):
        arguments = [query, key, value, bias]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            context = function(*arguments)
        gradients = tape.gradient(context, arguments, output_gradients=upstream)
        return [np.asarray(tf.cast(one, tf.float32)) for one in (context, *gradients)]

    for one, other in zip(context_and_gradients(ours), context_and_gradients(plain), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max(), rtol=0)


def test_only_functions_that_xla_compiles_count_as_compiled_as_a_whole():
    seen = []

    def note():
        seen.append(whole_step.compiled_as_a_whole())
        return tf.constant(0)

    note()
    tf.function(note).get_concrete_function()
    tf.function(tf.function(note), jit_compile=True).get_concrete_function()
    assert seen == [False, False, True]


def test_a_mask_has_the_same_bits_in_every_shape():
    flat = compiled.keep_mask(SEED, tf.constant([120]), 0.3)
    shaped = compiled.keep_mask(SEED, tf.constant([2, 3, 4, 5]), 0.3)
    np.testing.assert_array_equal(tf.reshape(shaped, [-1]), flat)
