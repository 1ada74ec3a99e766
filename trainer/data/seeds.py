"""Random numbers that are a function of a name.

Batches must stay the same after a restart and with another version of NumPy. NEP 19
guarantees the raw stream of Philox but not `Generator.permutation`, so permutations
are made here by sorting raw words.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def random_words(count: int, *name: object) -> NDArray[np.uint64]:
    """Returns `count` uint64 words that depend only on `name` (the `repr` of its parts)."""
    digest = hashlib.sha256(repr(name).encode()).digest()
    key = int.from_bytes(digest[:16], "little")
    return np.random.Philox(key=key).random_raw(count)


def permutation(count: int, *name: object) -> NDArray[np.int64]:
    """Returns a permutation of range(count) (int64) that depends only on `name`."""
    return np.argsort(random_words(count, *name), kind="stable")
