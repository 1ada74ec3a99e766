import numpy as np
import pytest

from rejoinder.evaluation.intervals import bootstrap, mean_interval
from rejoinder.evaluation.metrics import spearman


def test_the_interval_of_a_mean_equals_the_normal_approximation():
    hits = np.random.default_rng(0).random(4000) < 0.3
    low, high = mean_interval(hits)
    error = 1.96 * np.sqrt(0.3 * 0.7 / 4000)
    assert low == pytest.approx(hits.mean() - error, abs=0.003)
    assert high == pytest.approx(hits.mean() + error, abs=0.003)


def test_correlated_pairs_widen_the_interval():
    hits = np.repeat(np.random.default_rng(0).random(200) < 0.5, 10)
    threads = np.repeat(np.arange(200), 10).astype(str).tolist()
    alone, grouped = mean_interval(hits), mean_interval(hits, threads)
    assert grouped.high - grouped.low == pytest.approx(
        np.sqrt(10) * (alone.high - alone.low), rel=0.15
    )


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_rows_of_several_samples_are_resampled_together():
    x = np.random.default_rng(0).normal(size=100)
    assert bootstrap(spearman, (x, 2 * x)) == pytest.approx((1.0, 1.0))


def test_one_row_has_no_interval():
    assert np.isnan(mean_interval([1.0])).all()
