"""Counts of the pairs and tokens that training steps consumed, and their rates."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rejoinder.trainer.data.layout import HostBatch


@dataclass
class Throughput:
    """Counts over some training steps, of all hosts.

    Attributes:
        steps: Steps.
        pairs: Pairs.
        tokens: Real tokens.
        capacity: Token positions, padding included.
        cut: Tokens cut from the longest sentences because rows were full.
        seconds: Wall time of the steps.
        drawn: Pairs by the name of their data set.
    """

    steps: int = 0
    pairs: int = 0
    tokens: int = 0
    capacity: int = 0
    cut: int = 0
    seconds: float = 0.0
    drawn: Counter[str] = field(default_factory=Counter)

    def add_step(self, batch: HostBatch, names: Sequence[str]) -> None:
        """Counts a step on a batch of the data sets that `names` names."""
        self.steps += 1
        self.pairs += sum(batch.drawn.values())
        self.drawn.update({names[index]: pairs for index, pairs in batch.drawn.items()})
        self.tokens += batch.tokens
        self.capacity += batch.capacity
        self.cut += batch.cut

    def add(self, other: "Throughput") -> None:
        """Adds the counts of other steps."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def metrics(self) -> dict[str, float]:
        """Returns the rates (per second) and shares for the logs."""
        return {
            "pairs_per_second": self.pairs / self.seconds,
            "tokens_per_second": self.tokens / self.seconds,
            "real_tokens": self.tokens / self.capacity,
            "cut_tokens": self.cut / max(self.tokens, 1),
        }
