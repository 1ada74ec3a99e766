"""Confidence intervals by bootstrap (percentile method, seeded)."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
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
        statistic: A function vectorized along `axis`.
        samples: Arrays [n]; their i-th entries are resampled together.
        level: Coverage in (0, 1).
        resamples: Number of draws with replacement.
        seed: Seed of the draws.

    Returns:
        The interval; its bounds are NaN for fewer than two rows.
    """
    arrays = [np.asarray(sample) for sample in samples]
    if len(arrays[0]) < 2:
        return Interval(float("nan"), float("nan"))
    with warnings.catch_warnings():
        # A resample of a few rows can be constant, which gives NaN bounds.
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
        groups: The group (thread) of each pair. Values within a group are correlated, so
            groups are resampled and not pairs. None resamples pairs.
        seed: Seed of the draws.
    """
    values = np.asarray(values, np.float64)
    index = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(index, weights=values)
    counts = np.bincount(index).astype(np.float64)
    return bootstrap(_ratio, (sums, counts), seed=seed)


def _ratio(
    sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = sums.sum(axis=axis) / counts.sum(axis=axis)
    return ratio
