"""Columnar hash functions that are the same on every machine and in every release.

Buckets, shard order and sampling depend on them, so they are defined here and not
taken from a library that may change its own.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from rejoinder.corpus.splitmix64 import INCREMENT, mix
from rejoinder.corpus.varint import ranges

# Resolution and train share of the split, as in PolyAI's conversational-datasets.
_SPLIT_BUCKETS = 4096
_TRAIN_SHARE = 0.9
# Bytes of a string that are hashed together with those of all others; ids are shorter.
_COLUMNS = 32


def hash_strings(strings: pl.Series, seed: int = 0) -> np.ndarray:
    """Hashes strings: a polynomial over the UTF-8 bytes, mixed by splitmix64's finalizer.

    Args:
        strings: String [n] without nulls.
        seed: Different seeds give independent hashes.

    Returns:
        uint64 [n].
    """
    array = strings.to_arrow(compat_level=pl.CompatLevel.oldest())
    if len(array) == 0:
        return np.zeros(0, np.uint64)
    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)
    lengths = np.diff(offsets)
    powers = _powers(int(lengths.max()), _mix_seed(seed + 1) | 1)
    return mix(_polynomials(data, offsets[:-1], lengths, powers))


def _polynomials(
    data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, powers: np.ndarray
) -> np.ndarray:
    """Evaluates the polynomial of each string, one byte position of all strings at a time.

    Args:
        data: uint8, the bytes of all strings.
        starts: int64 [n], the first byte of each string.
        lengths: int64 [n], bytes of each string.
        powers: uint64, factor of each byte position, as many as the longest string has.

    Returns:
        uint64 [n]: sum of (byte + 1) * power, modulo 2^64.
    """
    sums = np.zeros(len(starts), np.uint64)
    rows: slice | np.ndarray = slice(None)  # the strings that have a byte at the position
    in_columns = min(len(powers), _COLUMNS)
    for position in range(in_columns):
        longer = lengths[rows] > position
        if not longer.all():
            rows = np.flatnonzero(longer) if isinstance(rows, slice) else rows[longer]
        values = data[starts[rows] + position].astype(np.uint64) + np.uint64(1)
        sums[rows] += values * powers[position]
    rows = np.flatnonzero(lengths > in_columns)
    if len(rows):  # few strings are long: the rest of each is one run of terms
        begin, end = starts[rows] + in_columns, starts[rows] + lengths[rows]
        factors = powers[ranges(np.full(len(rows), in_columns), lengths[rows])]
        terms = (data[ranges(begin, end)].astype(np.uint64) + np.uint64(1)) * factors
        counts = end - begin
        sums[rows] += np.add.reduceat(terms, np.cumsum(counts) - counts)
    return sums


def _powers(count: int, base: int) -> np.ndarray:
    powers = np.full(max(count, 1), np.uint64(base))
    return np.multiply.accumulate(powers)


def _mix_seed(seed: int) -> int:
    return int(mix(np.array([(seed * INCREMENT) % (1 << 64)], np.uint64))[0])


def train_rows(threads: pl.Series) -> np.ndarray:
    """Finds the rows of the train split, by the rule of PolyAI's extractor.

    Args:
        threads: String [n], the thread of each row, without nulls.

    Returns:
        bool [n].
    """
    distinct = threads.unique()
    train = distinct.filter(pl.Series(split_values(distinct.to_list()) < _TRAIN_SHARE))
    return threads.is_in(train.implode()).to_numpy()


def split_values(ids: Sequence[str]) -> np.ndarray:
    """Returns float64 [n], (1 + md5 % 4096) / 4096 of each id; `train` is below 0.9."""
    md5 = hashlib.md5
    digests = b"".join([md5(i.encode(), usedforsecurity=False).digest() for i in ids])
    # The digest is a big-endian number: its last two bytes decide about the remainder.
    remainders = np.frombuffer(digests, ">u2")[7::8] % _SPLIT_BUCKETS
    return (1 + remainders.astype(np.int64)) / _SPLIT_BUCKETS
