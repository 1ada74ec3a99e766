"""Semantic textual similarity: does cosine follow the scores that people gave."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.evaluation.intervals import Interval, bootstrap
from rejoinder.evaluation.metrics import paired_cosine, pearson, spearman
from rejoinder.evaluation.sentence_pairs import ScoredPairs

Encode = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Similarity:
    """Correlation of the cosine of embeddings with human scores, in [-1, 1]."""

    name: str
    pairs: int
    pearson: float
    spearman: float
    spearman_interval: Interval


def evaluate_similarity(data: ScoredPairs, encode: Encode) -> Similarity:
    """Returns the correlation of the cosine of embeddings with the scores of `data`."""
    cosine = paired_cosine(encode(data.first), encode(data.second))
    return Similarity(
        name=data.name,
        pairs=len(data.scores),
        pearson=float(pearson(cosine, data.scores)),
        spearman=float(spearman(cosine, data.scores)),
        spearman_interval=bootstrap(spearman, (cosine, data.scores)),
    )
