"""Random numbers that are a function of a name.

Batches must be the same today, after a restart, and with another numpy: the
raw stream of Philox is guaranteed never to change (NEP 19), while
`Generator.permutation` is not, so permutations are sorted from raw words here.
"""

import hashlib

import numpy as np


def random_words(count: int, *name: object) -> np.ndarray:
    """Returns `count` uint64 words that depend on `name` alone (its parts' `repr`)."""
    digest = hashlib.sha256(repr(name).encode()).digest()
    key = int.from_bytes(digest[:16], "little")
    return np.random.Philox(key=key).random_raw(count)


def permutation(count: int, *name: object) -> np.ndarray:
    """Returns a permutation of range(count) (int64) that depends on `name` alone."""
    return np.argsort(random_words(count, *name), kind="stable")
