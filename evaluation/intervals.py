"""Confidence intervals by bootstrap (percentile method, seeded)."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

RESAMPLES = 1000
_ELEMENTS_AT_ONCE = 4_000_000  # resampled numbers in memory, 32 MB


class Interval(NamedTuple):
    """A two-sided confidence interval."""

    low: float
    high: float


def bootstrap(
    statistic: Callable[..., Any],
    samples: Sequence[ArrayLike],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Returns the interval of `statistic(*samples, axis=-1)` over rows resampled together.

    Args:
        statistic: Vectorized along `axis`.
        samples: Arrays [n] whose i-th entries belong together.
        level: Coverage in (0, 1).
        resamples: Draws with replacement.
        seed: Of the draws; the same seed gives the same interval.

    Returns:
        NaN bounds for fewer than two rows, where there is nothing to resample.
    """
    arrays = [np.asarray(sample) for sample in samples]
    if len(arrays[0]) < 2:
        return Interval(float("nan"), float("nan"))
    with warnings.catch_warnings():
        # A handful of rows can be resampled to a constant one: NaN bounds say so.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            arrays,
            statistic,
            n_resamples=resamples,
            batch=max(1, _ELEMENTS_AT_ONCE // len(arrays[0])),
            vectorized=True,
            paired=True,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    low, high = result.confidence_interval
    return Interval(float(low), float(high))


def mean_interval(
    values: ArrayLike, groups: Sequence[str] | None = None, *, seed: int = 0
) -> Interval:
    """Returns the interval of the mean of `values` [n].

    Args:
        values: One number for each pair.
        groups: What each pair belongs to (its thread). Pairs of one group rise and fall
            together, so groups are resampled, not pairs; without groups each stands alone.
        seed: Of the draws.
    """
    values = np.asarray(values, np.float64)
    index = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(index, weights=values)
    counts = np.bincount(index).astype(np.float64)
    return bootstrap(_ratio, (sums, counts), seed=seed)


def _ratio(sums: np.ndarray, counts: np.ndarray, axis: int = -1) -> np.ndarray:
    return sums.sum(axis=axis) / counts.sum(axis=axis)
