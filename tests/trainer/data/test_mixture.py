"""Draws follow the weights, and any draw is computed without the earlier ones."""

import numpy as np
import pytest
from scipy import stats

from rejoinder.errors import UserError
from rejoinder.trainer.data.mixture import Mixture, integer_weights

# A correct sampler fails a test at this level once in ten thousand seeds; the seeds are fixed.
SIGNIFICANCE = 1e-4


def test_draws_do_not_depend_on_where_reading_starts():
    mixture = Mixture((3, 1, 6), seed=7)
    sources, ordinals = mixture.draws(0, 5_000)
    for start, count in [(0, 1), (1, 1), (999, 2), (1_234, 2_000), (4_999, 1)]:
        some_sources, some_ordinals = mixture.draws(start, count)
        np.testing.assert_array_equal(some_sources, sources[start : start + count])
        np.testing.assert_array_equal(some_ordinals, ordinals[start : start + count])


def test_ordinals_count_each_data_set_without_gap():
    sources, ordinals = Mixture((5, 2, 1), seed=0).draws(0, 4_000)
    for source in range(3):
        np.testing.assert_array_equal(
            ordinals[sources == source], np.arange((sources == source).sum())
        )


def test_every_block_matches_the_weights_exactly():
    mixture = Mixture((700, 200, 100), seed=3)
    for block in range(3):
        sources, _ = mixture.draws(block * 1_000, 1_000)
        assert np.bincount(sources).tolist() == [700, 200, 100]


@pytest.mark.parametrize("weights", [(1, 1), (9, 1), (50, 30, 15, 5)])
def test_single_draws_have_the_probabilities_of_the_weights(weights):
    """The first draw, over seeds: independent, so chi-square applies (level 1e-4)."""
    seeds = 3_000
    firsts = [Mixture(weights, seed).draws(0, 1)[0][0] for seed in range(seeds)]
    observed = np.bincount(firsts, minlength=len(weights))
    expected = np.asarray(weights) / sum(weights) * seeds
    assert stats.chisquare(observed, expected).pvalue > SIGNIFICANCE


def test_successive_draws_look_independent():
    """Transitions between successive draws have product probabilities (level 1e-4)."""
    sources, _ = Mixture((5, 3, 2), seed=11).draws(0, 100_000)
    table = np.zeros((3, 3))
    np.add.at(table, (sources[:-1], sources[1:]), 1)
    assert stats.chi2_contingency(table).pvalue > SIGNIFICANCE


def test_a_distant_draw_is_computed_directly():
    sources, ordinals = Mixture((3, 1), seed=0).draws(10**15, 4)
    assert sources.shape == ordinals.shape == (4,)
    assert abs(ordinals[sources == 0][0] / 10**15 - 0.75) < 1e-9


def test_weights_are_used_unchanged():
    assert integer_weights("weights", weights=[7, 3], examples=[1, 1]) == (7, 3)


def test_proportional_and_temperature():
    examples = [90_000, 10_000]
    assert integer_weights("proportional", weights=[1, 1], examples=examples) == (9, 1)
    roots = integer_weights("temperature", weights=[1, 1], examples=examples, temperature=2.0)
    assert roots == (750_000, 250_000)
    assert Mixture(roots, seed=0).block == (750, 250)


@pytest.mark.parametrize("examples", [(3, 65_535), (1, 999_999), (100, 7, 13), (5,)])
def test_proportional_weights_are_exact(examples):
    """Over as many draws as there are examples, each data set is drawn once an example."""
    options = {"weights": [1] * len(examples), "examples": examples}
    for weighting in ("proportional", "temperature"):
        weights = integer_weights(weighting, **options)
        assert [w * sum(examples) for w in weights] == [n * sum(weights) for n in examples]


def test_shares_of_many_examples_are_rounded_to_millionths():
    years = (135_108_166, 159_164_386, 191_485_219, 240_726_659)
    weights = integer_weights("proportional", weights=[1] * 4, examples=years)
    assert sum(weights) == 1_000_000
    for weight, count in zip(weights, years, strict=True):
        assert abs(weight / 1_000_000 - count / sum(years)) < 1e-6
    assert sum(Mixture(weights, seed=0).block) == 1_000_000


def test_a_tiny_data_set_is_still_drawn():
    assert integer_weights("proportional", weights=[1, 1], examples=[10**9, 1])[1] == 1


def test_unknown_weighting_is_refused():
    with pytest.raises(UserError, match="must be one of weights, proportional, temperature"):
        integer_weights("size", weights=[1], examples=[1])


def test_huge_coprime_weights_are_refused():
    with pytest.raises(UserError, match="round the weights"):
        Mixture((726_484_430, 31), seed=0)
