"""Hashes and the split by thread never change."""

import numpy as np
import polars as pl
import pytest

from rejoinder.corpus.splitmix64 import mix
from rejoinder.pipelines.shuffle import hashing


@pytest.mark.parametrize(
    ("thread", "value", "train"),
    [("5h6yvl", 0.722412, True), ("41ar0l", 0.900146, False), ("c", 0.950195, False)],
)
def test_the_split_of_known_threads(thread, value, train):
    assert hashing.split_values([thread]) == pytest.approx([value], abs=1e-6)
    assert hashing.train_rows(pl.Series([thread, thread])).tolist() == [train, train]


def test_string_hashes_are_fixed_spread_and_independent_of_neighbours():
    texts = ["", "a", "b", "ab", "ba", "é", "5h6yvl", "x" * 1000, *(f"c{n}" for n in range(10_000))]
    hashes = hashing.hash_strings(pl.Series(texts))
    assert len(set(hashes.tolist())) == len(texts)
    for index in (0, 3, 5, 7, 100):
        assert hashing.hash_strings(pl.Series(texts[index : index + 1]))[0] == hashes[index]
    assert np.array_equal(hashing.hash_strings(pl.Series(texts).slice(50, 100)), hashes[50:150])
    counts = np.bincount((hashes % np.uint64(16)).astype(int))
    assert counts.min() > 0.8 * len(texts) / 16
    other = hashing.hash_strings(pl.Series(texts), 5)
    assert np.flatnonzero(hashes == other).tolist() == [0]  # the empty text alone
    assert hashing.hash_strings(pl.Series(["5h6yvl"]), 1)[0] == HASH_OF_5H6YVL


def polynomial(text: str, base: int) -> int:
    return sum((byte + 1) * pow(base, i, 1 << 64) for i, byte in enumerate(text.encode(), 1))


def test_short_and_long_strings_have_the_hash_of_the_definition():
    texts = ["", "a", "é" * 16, "x" * 31, "x" * 32, "x" * 33, "ü" * 500, "id", "y" * 100]
    base = 0xE220A8397B1DCDAF  # the first output of splitmix64 for the seed 0
    expected = mix(np.array([polynomial(text, base) % (1 << 64) for text in texts], np.uint64))
    assert hashing.hash_strings(pl.Series(texts)).tolist() == expected.tolist()


HASH_OF_5H6YVL = 5903545476728595644
