"""Which data set each draw comes from: weighted, and a pure function of (seed, draw).

The original script drew a data set at random, with probability weight / sum of
weights, for every batch. Here draws come in blocks: a block holds each data set
exactly in proportion to its weight, in an order shuffled by (seed, block). The
marginal probabilities are the same, a long run matches the weights exactly
instead of approximately, and "how often was this data set drawn before draw d"
needs one block instead of a replay of all earlier draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from math import gcd

import numpy as np

from rejoinder.errors import UserError
from rejoinder.trainer.data.seeds import permutation

WEIGHTINGS = ("weights", "proportional", "temperature")

_MIN_BLOCK = 1_000  # draws; small weights are multiplied so that blocks are not a visible pattern
_MAX_BLOCK = 10_000_000  # draws; a block is held in memory
_QUANTA = 10_000  # draws among which fractional weights are rounded


def integer_weights(
    weighting: str,
    *,
    weights: Sequence[int],
    examples: Sequence[int],
    temperature: float = 1.0,
) -> tuple[int, ...]:
    """Returns the integer draw weight of each data set.

    Args:
        weighting: `weights` takes `weights` as they stand (`data_config.json`);
            `proportional` draws by number of examples; `temperature` by
            examples ** (1 / temperature), as multilingual BERT and T5 mix their
            corpora (https://arxiv.org/abs/1910.10683, section 3.5.2).
        weights: Integer weights ≥ 1.
        examples: Examples of each data set.
        temperature: 1 is `proportional`, larger is closer to equal shares.

    Raises:
        UserError: an unknown weighting, or a temperature that is not positive.
    """
    if weighting == "weights":
        return tuple(weights)
    if weighting not in WEIGHTINGS:
        raise UserError(
            f"task.train_data.weighting: must be one of {', '.join(WEIGHTINGS)}, got {weighting!r}"
        )
    if temperature <= 0:
        raise UserError(f"task.train_data.temperature: must be greater than 0, got {temperature}")
    power = 1.0 if weighting == "proportional" else 1.0 / temperature
    shares = np.asarray(examples, np.float64) ** power
    exact = shares / shares.sum() * _QUANTA
    return tuple(int(max(1, round(value))) for value in exact)


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

    def draws(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (data set, earlier draws of that data set) of draws start … start + count.

        Both are int64 [count].
        """
        block, length = np.asarray(self.block), sum(self.block)
        sources, ordinals = [], []
        for index in range(start // length, -(-(start + count) // length)):
            order, rank = _block_order(self.block, self.seed, index)
            first = max(start - index * length, 0)
            last = min(start + count - index * length, length)
            chosen = order[first:last]
            sources.append(chosen)
            ordinals.append(rank[first:last] + index * block[chosen])
        return np.concatenate(sources), np.concatenate(ordinals)


@lru_cache(maxsize=8)
def _block_order(block: tuple[int, ...], seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (data set of each draw, its rank among that data set's draws) of one block."""
    order = np.repeat(np.arange(len(block)), block)
    order = order[permutation(len(order), seed, "mixture", index)]
    rank = np.empty_like(order)
    for source, draws in enumerate(block):
        rank[order == source] = np.arange(draws)
    return order, rank
