"""Histograms of pairs for the report; those of several buckets can be added."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from rejoinder.pipelines.shards.encode import PairEncoder

# A bucket reports its largest subreddits by name, and the sum of the others.
_TOP_SUBREDDITS = 2000
# So many are kept by name when the reports of several buckets are added.
_MERGED_SUBREDDITS = 10_000
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
    """Counts values, int [n], none of them negative."""
    counts = np.bincount(values)
    found = np.flatnonzero(counts)
    return Counter(dict(zip(map(str, found.tolist()), counts[found].tolist(), strict=True)))


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
        encoder: PairEncoder,
        *,
        subreddits: pl.Series | None = None,
        months: pl.Series | None = None,
        threads: pl.Series | None = None,
    ) -> "PairStatistics":
        """Counts a bucket's pairs.

        Args:
            encoder: The encoder of the bucket's pairs, for the lengths of both sides.
            subreddits: String [p], None if the input has no subreddits.
            months: int16 [p], None if the input has no times.
            threads: String [n], the thread of each comment, None if the input has no threads.
        """
        found = cls(
            _histogram(encoder.context_chars),
            _histogram(encoder.response_chars),
            _histogram(encoder.context_tokens),
            _histogram(encoder.response_tokens),
        )
        if subreddits is not None:
            counts = _value_counts(subreddits)
            found.subreddits.update(dict(counts[:_TOP_SUBREDDITS]))
            if rest := sum(count for _, count in counts[_TOP_SUBREDDITS:]):
                found.subreddits[OTHER_SUBREDDITS] += rest
        if months is not None:
            found.months.update({month_name(m): count for m, count in _value_counts(months)})
        if threads is not None:
            sizes = threads.alias("value").value_counts(name="n").get_column("n").to_numpy()
            exponents = _histogram(np.log2(sizes).astype(np.int64))
            found.thread_sizes.update({str(1 << int(e)): n for e, n in exponents.items()})
        return found

    def add(self, other: "PairStatistics") -> None:
        """Adds the counts of another bucket."""
        for name in _FIELDS:
            getattr(self, name).update(getattr(other, name))

    def limit_subreddits(self, most: int = _MERGED_SUBREDDITS) -> None:
        """Counts the smallest subreddits together, if there are more than `most`."""
        others = self.subreddits.pop(OTHER_SUBREDDITS, 0)
        order = sorted(self.subreddits.items(), key=lambda item: (-item[1], item[0]))
        for name, count in order[most:]:
            del self.subreddits[name]
            others += count
        if others:
            self.subreddits[OTHER_SUBREDDITS] = others

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Returns the histograms as JSON values."""
        return {name: dict(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_dict(cls, values: dict[str, dict[str, int]]) -> "PairStatistics":
        """Reads the result of `to_dict`."""
        return cls(**{name: Counter(values[name]) for name in _FIELDS})
