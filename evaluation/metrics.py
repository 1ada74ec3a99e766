"""Scores of rankings and similarities, as pure functions on arrays."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


def one_of_n_hits(scores: ArrayLike) -> NDArray[np.bool_]:
    """Returns which contexts rank their own response first among the n of their batch.

    As defined by PolyAI's conversational benchmarks: row i is correct if its largest score
    is in column i; of equal scores the first column wins.

    Args:
        scores: float [..., n, n]; `scores[…, i, j]` is the score of response j for context i.

    Returns:
        bool [..., n].

    Raises:
        ValueError: the last two axes differ, or a score is not finite.
    """
    scores = np.asarray(scores)
    if scores.ndim < 2 or scores.shape[-1] != scores.shape[-2]:
        raise ValueError(f"scores must have shape [..., n, n], got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite, got NaN or infinity")
    hits: NDArray[np.bool_] = scores.argmax(axis=-1) == np.arange(scores.shape[-1])
    return hits


def one_of_n_accuracy(scores: ArrayLike) -> float:
    """Returns the 1-of-n accuracy in [0, 1] of `scores` [..., n, n], the mean over batches."""
    return float(one_of_n_hits(scores).mean())


def ranks(scores: ArrayLike, correct: ArrayLike) -> NDArray[np.float64]:
    """Returns the rank (1 = best) of each query's correct candidate.

    Ties count half: the rank is the mean over all orders of equal candidates, so that equal
    scores for all candidates give the middle rank and not the first.

    Args:
        scores: float [q, c], larger is better.
        correct: int [q], the column of each query's correct candidate.

    Returns:
        float64 [q], in steps of one half.
    """
    scores = np.asarray(scores)
    own = np.take_along_axis(scores, np.asarray(correct)[:, None], axis=1)
    better = np.count_nonzero(scores > own, axis=1)
    equal = np.count_nonzero(scores == own, axis=1) - 1
    result: NDArray[np.float64] = 1 + better + equal / 2
    return result


def recall_at_k(ranks: ArrayLike, k: int) -> float:
    """Returns the share of queries whose correct candidate is among the first `k`."""
    return float((np.asarray(ranks) <= k).mean())


def mean_reciprocal_rank(ranks: ArrayLike) -> float:
    """Returns the mean of 1 / rank."""
    return float((1 / np.asarray(ranks, np.float64)).mean())


def pearson(x: ArrayLike, y: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Returns Pearson's correlation along `axis`; NaN where one side is constant."""
    a, b = (np.asarray(side, np.float64) for side in (x, y))
    a = a - a.mean(axis=axis, keepdims=True)
    b = b - b.mean(axis=axis, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        norm = np.sqrt((a * a).sum(axis=axis) * (b * b).sum(axis=axis))
        correlation: NDArray[np.float64] = (a * b).sum(axis=axis) / norm
    return correlation


def spearman(x: ArrayLike, y: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Returns Spearman's rank correlation along `axis`, equal values having their mean rank."""
    return pearson(stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis), axis=axis)


def paired_cosine(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    """Returns the cosine of row i of `x` [n, d] with row i of `y` [n, d]; 0 for a zero row."""
    a, b = (np.asarray(side, np.float64) for side in (x, y))
    norm = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine: NDArray[np.float64] = np.einsum("nd,nd->n", a, b) / np.where(norm == 0, 1, norm)
    return cosine


def average_precision(labels: ArrayLike, scores: ArrayLike, axis: int = -1) -> NDArray[np.float64]:
    """Returns the average precision of ranking by descending score, along `axis`.

    The mean over positives of the precision at each; positives of equal score have the
    precision at the last of them (as in scikit-learn's `average_precision_score`).

    Args:
        labels: 1 for positives, 0 for the rest.
        scores: Larger is more likely positive.
        axis: The axis of the pairs.
    """
    labels = np.moveaxis(np.asarray(labels, np.float64), axis, -1)
    scores = np.moveaxis(np.asarray(scores, np.float64), axis, -1)
    order = np.argsort(-scores, axis=-1, kind="stable")
    ranked = np.take_along_axis(labels, order, -1)
    descending = np.take_along_axis(scores, order, -1)
    precision = ranked.cumsum(axis=-1) / np.arange(1, ranked.shape[-1] + 1)
    # The last of equal scores is where the next score differs; all of them get its precision.
    last = np.ones(descending.shape, bool)
    last[..., :-1] = descending[..., 1:] != descending[..., :-1]
    index = np.where(last, np.arange(descending.shape[-1]), descending.shape[-1])
    index = np.minimum.accumulate(index[..., ::-1], axis=-1)[..., ::-1]
    shared = np.take_along_axis(precision, index, -1)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = (shared * ranked).sum(axis=-1) / ranked.sum(axis=-1)
    return result
