"""The mixing function equals that of the published generator."""

import numpy as np

from rejoinder.corpus.splitmix64 import INCREMENT, mix

# The first outputs of the reference implementation (https://prng.di.unimi.it/splitmix64.c)
# for the seed 1234567.
REFERENCE = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_the_generator_gives_the_reference_numbers():
    states = [(1234567 + n * INCREMENT) % (1 << 64) for n in range(1, 6)]
    assert mix(np.array(states, np.uint64)).tolist() == REFERENCE
