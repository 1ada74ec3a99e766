"""The data set of each draw: weighted, and a pure function of (seed, draw).

The original script drew a random data set for every batch, with probability weight /
sum of weights. Here draws come in blocks: a block contains each data set exactly in
proportion to its weight, in an order shuffled by (seed, block). The marginal
probabilities are the same, a long run matches the weights exactly instead of
approximately, and the number of earlier draws of a data set is computed from one
block instead of a replay of all earlier draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.trainer.data.seeds import permutation

WEIGHTINGS = ("weights", "proportional", "temperature")

_MIN_BLOCK = 1_000  # draws; small weights are multiplied, so that the block is not a short pattern
_MAX_BLOCK = 10_000_000  # draws; a block is kept in memory
_QUANTA = 1_000_000  # draws of a block in which shares without a shorter exact one are rounded


def integer_weights(
    weighting: str,
    *,
    weights: Sequence[int],
    examples: Sequence[int],
    temperature: float = 1.0,
) -> tuple[int, ...]:
    """Returns the integer draw weight of each data set.

    Args:
        weighting: `weights` uses `weights` unchanged (`data_config.json`);
            `proportional` draws by number of examples; `temperature` by
            examples ** (1 / temperature), as in multilingual BERT and T5
            (https://arxiv.org/abs/1910.10683, section 3.5.2). Up to a million examples
            without a common divisor, `proportional` is exact; beyond, and with a
            temperature, shares are rounded to millionths.
        weights: Integer weights ≥ 1.
        examples: Examples of each data set.
        temperature: 1 equals `proportional`; larger values are closer to equal shares.

    Raises:
        UserError: An unknown weighting, or a temperature that is not positive.
    """
    if weighting == "weights":
        return tuple(weights)
    if weighting not in WEIGHTINGS:
        raise UserError(
            f"task.train_data.weighting: must be one of {', '.join(WEIGHTINGS)}, got {weighting!r}"
        )
    if temperature <= 0:
        raise UserError(f"task.train_data.temperature: must be greater than 0, got {temperature}")
    if weighting == "proportional" or temperature == 1.0:
        divisor = reduce(gcd, examples)
        if sum(examples) // divisor <= _QUANTA:
            return tuple(count // divisor for count in examples)
        temperature = 1.0
    logarithms = np.log(np.asarray(examples, np.float64))
    return _rounded(np.exp((logarithms - logarithms.max()) / temperature))


def _rounded(shares: NDArray[np.float64]) -> tuple[int, ...]:
    """Returns integer weights of at least 1 that are closest to shares (float64 [n])."""
    exact = shares / shares.sum() * _QUANTA
    weights = np.maximum(np.floor(exact), 1).astype(np.int64)
    # The largest remainders are rounded up, so that the sum of the weights is `_QUANTA`.
    missing = max(_QUANTA - int(weights.sum()), 0)
    weights[np.argsort(weights - exact, kind="stable")[:missing]] += 1
    return tuple(map(int, weights))


@dataclass(frozen=True)
class Mixture:
    """The sequence of drawn data sets.

    Attributes:
        weights: Integer weight of each data set.
        seed: Seed of the order inside the blocks.
    """

    weights: tuple[int, ...]
    seed: int

    def __post_init__(self) -> None:
        if not self.weights or min(self.weights) < 1:
            raise ValueError(f"weights must be integers of at least 1, got {self.weights}")
        if sum(self.weights) // reduce(gcd, self.weights) > _MAX_BLOCK:
            raise UserError(
                f"data_config.json: the weights' sum, reduced by their common divisor, must be at "
                f"most {_MAX_BLOCK}, got {sum(self.weights)}; round the weights"
            )

    @property
    def block(self) -> tuple[int, ...]:
        """Draws of each data set in one block."""
        divisor = reduce(gcd, self.weights)
        reduced = [weight // divisor for weight in self.weights]
        factor = -(-_MIN_BLOCK // sum(reduced))
        return tuple(weight * factor for weight in reduced)

    def draws(self, start: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns (data set, number of its earlier draws) for `count` draws from `start` on.

        Both are int64 [count].
        """
        block, length = np.asarray(self.block), sum(self.block)
        data_sets, ordinals = [], []
        for index in range(start // length, -(-(start + count) // length)):
            order, rank = _block_order(self.block, self.seed, index)
            first = max(start - index * length, 0)
            last = min(start + count - index * length, length)
            chosen = order[first:last]
            data_sets.append(chosen)
            ordinals.append(rank[first:last] + index * block[chosen])
        return np.concatenate(data_sets), np.concatenate(ordinals)


@lru_cache(maxsize=8)
def _block_order(
    block: tuple[int, ...], seed: int, index: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the data set of each draw of one block, and the draw's rank in that data set."""
    order = np.repeat(np.arange(len(block)), block)
    order = order[permutation(len(order), seed, "mixture", index)]
    rank = np.empty_like(order)
    for data_set, draws in enumerate(block):
        rank[order == data_set] = np.arange(draws)
    return order, rank
