"""Figures about pairs that add up over buckets, for the report."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

# A bucket reports this many of its largest subreddits by name, the rest in one sum.
_TOP_SUBREDDITS = 2000
OTHER_SUBREDDITS = "(others)"
UNKNOWN_MONTH = "unknown"

_FIELDS = (
    "context_chars",
    "response_chars",
    "context_tokens",
    "response_tokens",
    "subreddits",
    "months",
    "thread_sizes",
)


def _histogram(values: np.ndarray) -> Counter[str]:
    counts = np.bincount(values)
    return Counter({str(value): int(counts[value]) for value in np.flatnonzero(counts)})


def _value_counts(values: pl.Series) -> list[tuple[Any, int]]:
    frame = values.alias("value").value_counts(name="pairs")
    return sorted(frame.rows(), key=lambda row: (-row[1], str(row[0])))


def month_name(month: int | None) -> str:
    """Returns e.g. `2015-01` of a month counted from year 0."""
    return UNKNOWN_MONTH if month is None else f"{month // 12:04d}-{month % 12 + 1:02d}"


@dataclass
class PairStatistics:
    """Histograms, each from a value (as text) to a count.

    Attributes:
        context_chars: Pairs by code points of the context.
        response_chars: Pairs by code points of the response.
        context_tokens: Pairs by token ids of the context, special tokens included.
        response_tokens: Pairs by token ids of the response.
        subreddits: Pairs by subreddit, small ones under `OTHER_SUBREDDITS`.
        months: Pairs by month of the response.
        thread_sizes: Threads by comments, rounded down to a power of two.
    """

    context_chars: Counter[str] = field(default_factory=Counter)
    response_chars: Counter[str] = field(default_factory=Counter)
    context_tokens: Counter[str] = field(default_factory=Counter)
    response_tokens: Counter[str] = field(default_factory=Counter)
    subreddits: Counter[str] = field(default_factory=Counter)
    months: Counter[str] = field(default_factory=Counter)
    thread_sizes: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(
        cls,
        *,
        context_chars: np.ndarray,
        response_chars: np.ndarray,
        context_tokens: np.ndarray,
        response_tokens: np.ndarray,
        subreddits: pl.Series,
        months: pl.Series,
        threads: pl.Series,
    ) -> "PairStatistics":
        """Counts columns with one value per pair; `threads` has one per comment."""
        by_subreddit = _value_counts(subreddits)
        named: Counter[str] = Counter(dict(by_subreddit[:_TOP_SUBREDDITS]))
        if rest := sum(count for _, count in by_subreddit[_TOP_SUBREDDITS:]):
            named[OTHER_SUBREDDITS] += rest
        sizes = threads.alias("value").value_counts(name="n").get_column("n").to_numpy()
        powers = np.floor(np.log2(np.maximum(sizes, 1))).astype(np.int64)
        return cls(
            _histogram(context_chars),
            _histogram(response_chars),
            _histogram(context_tokens),
            _histogram(response_tokens),
            named,
            Counter({month_name(month): count for month, count in _value_counts(months)}),
            Counter({str(1 << int(p)): n for p, n in _histogram_items(powers)}),
        )

    def add(self, other: "PairStatistics") -> None:
        """Adds another's counts to these."""
        for name in _FIELDS:
            getattr(self, name).update(getattr(other, name))

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Returns JSON values."""
        return {name: dict(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, int]]) -> "PairStatistics":
        """Reads `to_dict`'s result."""
        return cls(**{name: Counter(values[name]) for name in _FIELDS})


def _histogram_items(values: np.ndarray) -> list[tuple[int, int]]:
    counts = np.bincount(values)
    return [(int(value), int(counts[value])) for value in np.flatnonzero(counts)]
