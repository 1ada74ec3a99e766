"""The compiled blocks against plain operations, and the statistics of their masks."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.models.mpnet import compiled
from rejoinder.models.mpnet.layers import LayerNorm, gelu

SEED = tf.constant([11, -7])
RATE = 0.3


def mask(shape, seed=SEED, rate=RATE):
    return compiled.keep_mask(seed, tf.constant(shape), rate).numpy()


def drop(values):
    """Plain dropout with the mask of the compiled blocks."""
    return tf.where(mask(values.shape), tf.cast(values, tf.float32) / (1 - RATE), 0.0)


def value_and_gradients(function, *arguments):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        result = function(*arguments)
        loss = tf.reduce_sum(tf.sin(3.0 * tf.cast(result, tf.float32)))
    return [result, *tape.gradient(loss, arguments)]


def assert_equal(ours, plain, tolerance):
    for one, other in zip(ours, plain, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            tf.cast(one, tf.float32), tf.cast(other, tf.float32), rtol=tolerance, atol=tolerance
        )


PRECISIONS = [(tf.float32, 2e-5), (tf.bfloat16, 6e-2)]


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
class TestBlocksEqualPlainOperations:
    def test_dropout_sum_and_norm(self, dtype, tolerance):
        norm = LayerNorm(16, 1e-5)
        inputs = tf.cast(tf.random.stateless_normal([12, 16], [1, 1]), dtype)
        residual, gamma, beta = (
            tf.random.stateless_normal(shape, [1, index])
            for index, shape in enumerate(([12, 16], [16], [16]))
        )

        def plain(inputs, residual, gamma, beta):
            total = drop(inputs) + residual
            return norm(total) * gamma + beta

        def ours(inputs, residual, gamma, beta):
            return compiled.dropout_sum_norm(inputs, residual, gamma, beta, SEED, RATE, 1e-5)

        arguments = (inputs, residual, gamma, beta)
        assert_equal(
            value_and_gradients(ours, *arguments), value_and_gradients(plain, *arguments), tolerance
        )

    def test_softmax_and_dropout(self, dtype, tolerance):
        scores = tf.cast(tf.random.stateless_normal([2, 3, 8, 8], [2, 1]), dtype)
        bias = tf.random.stateless_normal([2, 3, 8, 8], [2, 2])

        def plain(scores, bias):
            return tf.cast(drop(tf.nn.softmax(tf.cast(scores, tf.float32) + bias)), dtype)

        def ours(scores, bias):
            return compiled.softmax_dropout(scores, bias, SEED, RATE)

        assert_equal(
            value_and_gradients(ours, scores, bias),
            value_and_gradients(plain, scores, bias),
            tolerance,
        )

    def test_gelu(self, dtype, tolerance):
        inputs = tf.cast(tf.linspace(-6.0, 6.0, 64), dtype)
        ours = value_and_gradients(compiled.gelu, inputs)

        def plain(inputs):
            return tf.cast(gelu(tf.cast(inputs, tf.float32)), dtype)

        assert_equal(ours, value_and_gradients(plain, inputs), tolerance)

    def test_gelu_with_a_bias(self, dtype, tolerance):
        inputs = tf.cast(tf.reshape(tf.linspace(-6.0, 6.0, 64), [16, 4]), dtype)
        bias = tf.cast(tf.constant([-1.0, -0.5, 0.25, 2.0]), dtype)
        ours = value_and_gradients(compiled.gelu, inputs, bias)

        def plain(inputs, bias):
            return tf.cast(gelu(tf.cast(inputs, tf.float32) + tf.cast(bias, tf.float32)), dtype)

        assert_equal(ours, value_and_gradients(plain, inputs, bias), tolerance)

    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_query_key_and_value_of_each_head(self, dtype, tolerance, part):
        rows, length, heads, size = 2, 4, 3, 8
        shape = [rows, length, 3 * heads * size]
        inputs = tf.cast(tf.random.stateless_normal(shape, [4, 1]), dtype)
        bias = tf.cast(tf.random.stateless_normal([3 * heads * size], [4, 2]), dtype)

        def plain(inputs, bias):
            values = tf.cast(inputs, tf.float32) + tf.cast(bias, tf.float32)
            values = tf.reshape(values, [rows, length, 3, heads, size])[:, :, part]
            values *= 1 / np.sqrt(size) if part == 0 else 1.0
            return tf.cast(tf.transpose(values, [0, 2, 1, 3]), dtype)

        def ours(inputs, bias):
            return compiled.split_heads(inputs, bias, heads)[part]

        assert_equal(
            value_and_gradients(ours, inputs, bias),
            value_and_gradients(plain, inputs, bias),
            tolerance,
        )

    def test_dropout(self, dtype, tolerance):
        inputs = tf.cast(tf.random.stateless_normal([12, 16], [3, 1]), dtype)
        ours = value_and_gradients(lambda x: compiled.dropout(x, SEED, RATE), inputs)
        plain = value_and_gradients(lambda x: tf.cast(drop(x), dtype), inputs)
        assert_equal(ours, plain, tolerance)


def test_a_block_accepts_a_shape_that_is_only_known_at_run_time():
    run = tf.function(
        lambda x: compiled.dropout(x, SEED, RATE), input_signature=[tf.TensorSpec([None, 4])]
    )
    for rows in (1, 3):
        np.testing.assert_array_equal(run(tf.ones([rows, 4])) > 0, mask([rows, 4]))


def test_bits_are_those_of_the_reference_implementation():
    """`threefry2x32 13`, counter and key 0, in Random123's file of known answers.

    https://github.com/DEShawResearch/random123/blob/main/tests/kat_vectors
    """
    assert compiled.threefry(tf.constant([0]), tf.constant([0, 0])).numpy() == 0x9D1C5EC6


def test_a_tensorflow_without_xla_for_the_host_computes_the_same(monkeypatch):
    monkeypatch.setattr(compiled, "host_has_xla", lambda: False)
    inputs = tf.random.stateless_normal([12, 16], [3, 1])
    block = compiled._compiled(lambda inputs: compiled.drop(inputs, inputs > 0, RATE))
    np.testing.assert_array_equal(block(inputs), tf.where(inputs > 0, inputs * (1 / 0.7), 0.0))


def test_the_first_program_of_a_process_prints_nothing():
    code = (
        "import tensorflow as tf; from rejoinder.models.mpnet import compiled;"
        "compiled.gelu(tf.constant([1.0]))"
    )
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(
        [sys.executable, "-c", code], env=quiet, capture_output=True, text=True, check=True
    )
    assert process.stdout + process.stderr == ""


class TestMasks:
    """Each bound is five standard deviations of independent draws."""

    @pytest.mark.parametrize("rate", [1e-3, 0.1, 0.5, 0.9])
    def test_the_rate_holds_over_all_rows_and_columns(self, rate):
        dropped = ~mask([2000, 500], rate=rate)
        for axis in (None, 0, 1):
            means = dropped.mean(axis)
            count = dropped.size / np.size(means)
            assert np.abs(means - rate).max() < 5.5 * np.sqrt(rate * (1 - rate) / count)

    @pytest.mark.parametrize(
        "other",
        [(11, -6), (12, -7), (-7, 11), (11 ^ 1, -7 ^ 1), (11, -7 + 2**30)],
    )
    def test_masks_of_other_seeds_are_independent(self, other):
        one, two = mask([10**6], rate=0.5), mask([10**6], tf.constant(other), 0.5)
        assert abs((one == two).mean() - 0.5) < 5 * 0.5 / 1e3
        # Not the same draws at other places either.
        for shift in (1, 2, 64, 768):
            assert abs((one[shift:] == two[:-shift]).mean() - 0.5) < 5 * 0.5 / 1e3

    def test_neighbours_in_rows_and_columns_are_independent(self):
        values = mask([2**20], rate=0.5)
        for distance in [*range(1, 65), 128, 256, 768, 3072, 4096, 65536]:
            equal = (values[distance:] == values[:-distance]).mean()
            assert abs(equal - 0.5) < 5 * 0.5 / np.sqrt(len(values) - distance), distance

    def test_runs_of_eight_elements_take_every_pattern_equally_often(self):
        patterns = np.packbits(mask([2**20], rate=0.5))
        counts = np.bincount(patterns, minlength=256)
        expected = len(patterns) / 256
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert abs(chi_square - 255) < 5 * np.sqrt(2 * 255)

    def test_steps_and_places_have_different_masks(self):
        from rejoinder.models.mpnet.layers import site_seed
        from rejoinder.trainer.task import step_seed

        seeds = [
            tuple(site_seed(0.1, step_seed(0, tf.constant(step)), site).numpy())
            for step in range(20)
            for site in range(20)
        ]
        assert len(set(seeds)) == len(seeds)
