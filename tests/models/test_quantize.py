"""int8 and binary forms of embeddings."""

import numpy as np
import pytest

from rejoinder.models.quantize import QUANTIZED, int8_step, quantize


@pytest.fixture(scope="module")
def vectors():
    drawn = np.random.default_rng(0).normal(size=(40, 384)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_int8_keeps_cosines_and_inner_products(vectors):
    int8 = quantize(vectors, "int8")
    assert int8.dtype == np.int8
    assert int8.shape == vectors.shape
    exact = vectors @ vectors.T
    restored = int8.astype(np.float32) * int8_step(384)
    np.testing.assert_allclose(restored @ restored.T, exact, atol=8e-3)
    lengths = np.linalg.norm(restored, axis=1)
    np.testing.assert_allclose(restored @ restored.T / np.outer(lengths, lengths), exact, atol=3e-3)


def test_int8_rounds_to_the_nearest_step_and_clips():
    numbers = np.array([0, 0.4, 0.6, -0.4, -0.6, 126.6, 127.6, 500, -128.4, -500], np.float32)
    values = quantize(numbers * int8_step(len(numbers)), "int8")
    assert values.tolist() == [0, 0, 1, 0, -1, 127, 127, 127, -128, -128]


def test_numbers_of_few_dimensions_are_not_clipped():
    assert quantize(np.array([[1.0, 0.0], [0.0, -1.0]], np.float32), "int8").tolist() == [
        [127, 0],
        [0, -127],
    ]


def test_uint8_is_int8_plus_128(vectors):
    assert quantize(vectors, "uint8").dtype == np.uint8
    shifted = quantize(vectors, "int8").astype(np.int16) + 128
    assert np.array_equal(quantize(vectors, "uint8"), shifted)


def test_ubinary_packs_signs_from_the_highest_bit():
    numbers = np.array([0.1, -0.1, 0, 0.2, 0.3, -1, -1, 0.1, 0.5], np.float32)
    packed = quantize(numbers, "ubinary")
    assert packed.dtype == np.uint8
    assert packed.tolist() == [0b10011001, 0b10000000]
    signed = quantize(numbers, "binary")
    assert signed.dtype == np.int8
    assert signed.tolist() == [0b10011001 - 128, 0b10000000 - 128]


@pytest.mark.parametrize("dtype", QUANTIZED)
def test_a_vector_has_the_same_bytes_alone_and_among_others(vectors, dtype):
    alone = [quantize(vector, dtype) for vector in vectors]
    assert np.array_equal(quantize(vectors, dtype), alone)


def test_another_dtype_is_refused_by_name(vectors):
    with pytest.raises(ValueError, match="int8, uint8, binary, ubinary, got 'int4'"):
        quantize(vectors, "int4")
