"""Quantized embeddings equal those of sentence-transformers' `quantize_embeddings`."""

import numpy as np
import pytest

from rejoinder.models.quantize import int8_step, quantize

pytest.importorskip("sentence_transformers")
pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def vectors():
    drawn = np.random.default_rng(1).normal(size=(500, 300)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_int8_equals_sentence_transformers_with_the_same_range_for_all_dimensions(vectors, dtype):
    from sentence_transformers.quantization import quantize_embeddings

    step = int8_step(vectors.shape[1])
    ranges = np.outer([-128.5 * step, 126.5 * step], np.ones(vectors.shape[1]))
    theirs = quantize_embeddings(vectors, dtype, ranges=ranges)
    ours = quantize(vectors, dtype)
    assert ours.dtype == theirs.dtype
    # Both round at the same numbers, but for the last bit of float32.
    difference = np.abs(ours.astype(np.int16) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-4


@pytest.mark.parametrize("dtype", ["binary", "ubinary"])
def test_binary_equals_sentence_transformers(vectors, dtype):
    from sentence_transformers.quantization import quantize_embeddings

    theirs = quantize_embeddings(vectors, dtype)
    ours = quantize(vectors, dtype)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)
