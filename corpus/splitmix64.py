"""The mixing function of splitmix64 (Steele, Lea and Flood, 2014), by columns.

Shuffle buckets, shard order and keys of token rows depend on it, so it is defined
here and not taken from a library that may change its own.
"""

import numpy as np
from numpy.typing import NDArray

# The increment of the generator: 2^64 divided by the golden ratio, made odd.
INCREMENT = 0x9E3779B97F4A7C15


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Applies the finalizer of splitmix64, a bijection, to uint64 values of any shape."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
