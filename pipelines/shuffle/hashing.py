"""Columnar hash functions that are the same on every machine and in every release.

Buckets, shard order and sampling depend on them, so they are defined here and not
taken from a library that may change its own.
"""

import hashlib
from functools import lru_cache

import numpy as np
import polars as pl

from rejoinder.corpus.splitmix64 import INCREMENT, mix

# Resolution and train share of the split, as in PolyAI's conversational-datasets.
_SPLIT_BUCKETS = 4096
_TRAIN_SHARE = 0.9


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
    lengths = np.diff(offsets)
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    position = np.arange(len(data)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    # Unsigned arithmetic wraps modulo 2^64, also in the running sum.
    powers = _powers(int(lengths.max(initial=0)), _mix_seed(seed + 1) | 1)
    terms = (data.astype(np.uint64) + np.uint64(1)) * powers[position]
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(terms, out=sums[1:])
    ends = offsets - offsets[0]
    return mix(sums[ends[1:]] - sums[ends[:-1]])


def _powers(count: int, base: int) -> np.ndarray:
    powers = np.full(max(count, 1), np.uint64(base))
    return np.multiply.accumulate(powers)


def _mix_seed(seed: int) -> int:
    return int(mix(np.array([(seed * INCREMENT) % (1 << 64)], np.uint64))[0])


@lru_cache(maxsize=1 << 16)
def is_train(thread_id: str) -> bool:
    """Returns whether a thread is in the train split, by the rule of PolyAI's extractor."""
    return split_value(thread_id) < _TRAIN_SHARE


def split_value(thread_id: str) -> float:
    """Returns the thread's value in (0, 1], (1 + md5 % 4096) / 4096; `train` is below 0.9."""
    digest = hashlib.md5(thread_id.encode("utf-8"), usedforsecurity=False).digest()
    return (1 + int.from_bytes(digest, "big") % _SPLIT_BUCKETS) / _SPLIT_BUCKETS
