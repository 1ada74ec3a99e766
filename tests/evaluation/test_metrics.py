import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from rejoinder.evaluation.metrics import (
    average_precision,
    mean_reciprocal_rank,
    one_of_n_accuracy,
    one_of_n_hits,
    paired_cosine,
    pearson,
    ranks,
    recall_at_k,
    spearman,
)


def test_a_context_is_correct_if_its_own_response_scores_highest():
    scores = [[0.9, 0.1, 0.2], [0.8, 0.7, 0.1], [0.0, 0.1, 0.2]]
    assert one_of_n_hits(scores).tolist() == [True, False, True]
    assert one_of_n_accuracy(scores) == pytest.approx(2 / 3)


def test_of_equal_scores_the_first_response_wins():
    # The reference predicts by argmax: equal scores are correct once in n.
    assert one_of_n_accuracy(np.zeros((4, 100, 100))) == pytest.approx(0.01)


def test_accuracy_does_not_change_when_contexts_are_shuffled_within_their_batch():
    # The reference shuffles the contexts of each batch "to help avoid cheating".
    scores = np.random.default_rng(0).normal(size=(100, 100)) + 2 * np.eye(100)
    shuffle = np.random.default_rng(1).permutation(100)
    predictions = scores[shuffle].argmax(axis=1)
    assert one_of_n_accuracy(scores) == np.mean(predictions == shuffle)


@pytest.mark.parametrize("scores", [np.zeros((3, 4)), np.zeros(3)])
def test_scores_that_are_not_square_are_an_error(scores):
    with pytest.raises(ValueError, match="shape"):
        one_of_n_hits(scores)


def test_a_score_that_is_nan_is_an_error():
    with pytest.raises(ValueError, match="finite"):
        one_of_n_hits([[np.nan, 0.0], [0.0, 1.0]])


def test_ranks_count_better_candidates_and_half_of_equal_ones():
    scores = [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]
    assert ranks(scores, [0, 2, 1]).tolist() == [1, 3, 2]


def test_recall_and_reciprocal_rank_are_means_over_queries():
    assert recall_at_k([1, 2, 5, 11], 1) == 0.25
    assert recall_at_k([1, 2, 5, 11], 10) == 0.75
    assert mean_reciprocal_rank([1, 2, 4]) == pytest.approx((1 + 0.5 + 0.25) / 3)


def test_correlations_equal_scipys_with_ties():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=200), rng.integers(0, 6, size=200)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_correlations_work_along_the_last_axis():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 50)), rng.normal(size=(3, 50))
    assert spearman(x, y).tolist() == pytest.approx([spearman(x[i], y[i]) for i in range(3)])


def test_the_correlation_with_a_constant_is_nan():
    assert np.isnan(pearson([1.0, 1.0], [1.0, 2.0]))


def test_the_cosine_of_a_zero_row_is_zero():
    cosine = paired_cosine([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [[2.0, 0.0], [1.0, -1.0], [1, 1]])
    assert cosine.tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_average_precision_equals_scikit_learns_with_ties():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=(4, 200))
    scores = rng.normal(size=(4, 200)).round(1)
    expected = [average_precision_score(*row) for row in zip(labels, scores, strict=True)]
    assert average_precision(labels, scores).tolist() == pytest.approx(expected)
