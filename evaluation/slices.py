"""Histograms of scores, and accuracy by text length and by subreddit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.evaluation.pairs import Pairs
from rejoinder.evaluation.ranking import Method, in_batch_hits, scores

_HISTOGRAM_BATCHES = 50
_BINS = 60
_LENGTHS = (0, 20, 40, 60, 80, 100, 128)
_LARGEST_SUBREDDITS = 12
_LEAST_PAIRS = 20


@dataclass(frozen=True)
class Histogram:
    """Distribution of a method's scores.

    Attributes:
        method: Name of the method.
        edges: Edges of the bins [bins + 1].
        true: Share of the true pairs' scores in each bin [bins].
        negative: Share of the in-batch negatives' scores in each bin [bins].
    """

    method: str
    edges: list[float]
    true: list[float]
    negative: list[float]


@dataclass(frozen=True)
class Slice:
    """Accuracy of one method on a part of the pairs.

    Attributes:
        by: "response length", "context length" or "subreddit".
        label: A range of lengths, or the subreddit.
        pairs: Number of pairs.
        method: Name of the method.
        accuracy: 1-of-n accuracy in [0, 1] on these pairs.
    """

    by: str
    label: str
    pairs: int
    method: str
    accuracy: float


def histogram(method: Method, *, n: int, batches: int) -> Histogram:
    """Returns the scores of true pairs and of the negatives of their batches, in shared bins."""
    complete = min(batches, method.contexts.shape[0] // n, _HISTOGRAM_BATCHES)
    blocks = np.stack(
        [
            scores(method.contexts[start : start + n], method.responses[start : start + n])
            for start in range(0, complete * n, n)
        ]
    )
    own = np.broadcast_to(np.eye(n, dtype=bool), blocks.shape)
    edges = np.histogram_bin_edges(blocks, _BINS)
    true, negative = (np.histogram(blocks[mask], edges)[0] for mask in (own, ~own))
    return Histogram(
        method.name,
        edges.tolist(),
        (true / true.sum()).tolist(),
        (negative / negative.sum()).tolist(),
    )


def slices(methods: Sequence[Method], pairs: Pairs, *, n: int, batches: int) -> list[Slice]:
    """Returns the accuracy by response length, by context length and in the largest subreddits."""
    result = []
    for method in methods:
        hits = in_batch_hits(method.contexts, method.responses, n=n, batches=batches)
        count = len(hits)
        largest = Counter(filter(None, pairs.subreddits[:count])).most_common(_LARGEST_SUBREDDITS)
        kept = [name for name, size in largest if size >= _LEAST_PAIRS]
        for by, order, labels in (
            ("response length", LENGTH_LABELS, list(map(length_label, pairs.responses))),
            ("context length", LENGTH_LABELS, list(map(length_label, pairs.contexts))),
            ("subreddit", kept, pairs.subreddits),
        ):
            column = np.array(labels[:count])
            for label in order:
                chosen = column == label
                if chosen.sum() >= _LEAST_PAIRS:
                    accuracy = float(hits[chosen].mean())
                    result.append(Slice(by, label, int(chosen.sum()), method.name, accuracy))
    return result


def _label(low: int, high: int | None) -> str:
    return f"{low}+" if high is None else f"{low} to {high - 1}"


LENGTH_LABELS = [
    _label(low, high) for low, high in zip(_LENGTHS, (*_LENGTHS[1:], None), strict=True)
]


def length_label(text: str) -> str:
    """Returns the bin of a text's length in code points, one of `LENGTH_LABELS`."""
    return LENGTH_LABELS[int(np.searchsorted(_LENGTHS, len(text), side="right")) - 1]
