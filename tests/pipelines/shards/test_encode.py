"""Encoding a bucket's pairs: the pieces in which they are encoded do not show in the bytes."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from rejoinder.pipelines.shards import encode


def tokenize(texts):
    lengths = [len(text) for text in texts]
    values = np.frombuffer("".join(texts).encode(), np.uint8).astype(np.int32)
    return values, np.cumsum([0, *lengths])


@pytest.mark.parametrize("piece", [1, 3, 7])
def test_pairs_encoded_in_pieces_have_the_bytes_of_pairs_encoded_at_once(monkeypatch, piece):
    texts = pl.Series([f"text {number}" * (number % 3 + 1) for number in range(8)])
    context, response = np.arange(7), np.arange(1, 8)
    pairs = np.array([5, 0, 3, 6, 1, 2, 4])
    values = pa.array(["a", None, "ccc", "d", None, "f", "g"], pa.large_string())

    def encoded():
        encoder = encode.PairEncoder(texts, context, response, tokenize)
        return encoder.encode(pairs, {"context/0": values})

    at_once = encoded()
    monkeypatch.setattr(encode, "_PIECE_PAIRS", piece)
    assert encoded() == at_once
    assert at_once.examples == 7


def test_no_pairs_are_no_bytes():
    texts, none = pl.Series([], dtype=pl.String), np.zeros(0, np.int64)
    encoder = encode.PairEncoder(texts, none, none, tokenize)
    assert encoder.encode(none, {}) == encode.ShardData(b"", 0)
