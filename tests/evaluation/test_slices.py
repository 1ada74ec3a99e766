import numpy as np
import pytest

from rejoinder.evaluation.pairs import Pairs
from rejoinder.evaluation.ranking import Method
from rejoinder.evaluation.slices import LENGTH_LABELS, histogram, length_label, slices


def _method(pairs, wrong=()):
    vectors = np.eye(pairs)
    responses = vectors.copy()
    responses[list(wrong)] *= -1
    return Method("demo", True, vectors, responses)


@pytest.mark.parametrize(
    ("length", "label"),
    [(0, "0 to 19"), (19, "0 to 19"), (20, "20 to 39"), (127, "100 to 127"), (128, "128+")],
)
def test_each_length_has_a_bin(length, label):
    assert length_label("é" * length) == label
    assert label in LENGTH_LABELS


def test_histograms_of_true_pairs_and_negatives_each_sum_to_1():
    result = histogram(_method(200), n=100, batches=500)
    assert sum(result.true) == pytest.approx(1)
    assert sum(result.negative) == pytest.approx(1)
    assert result.true[-1] == pytest.approx(1)
    assert result.negative[0] == pytest.approx(1)
    assert len(result.edges) == len(result.true) + 1


def test_accuracy_is_computed_by_subreddit_and_by_length():
    # Even pairs are short, from r/a and correct; odd pairs are long, from r/b and wrong.
    short, long = "short", "l" * 50
    responses = [long if index % 2 else short for index in range(100)]
    subreddits = ["b" if index % 2 else "a" for index in range(100)]
    pairs = Pairs(["c"] * 100, responses, subreddits, [""] * 100)
    result = slices([_method(100, range(1, 100, 2))], pairs, n=100, batches=500)
    found = {(one.by, one.label): (one.pairs, one.accuracy) for one in result}
    assert found["subreddit", "a"] == (50, 1.0)
    assert found["subreddit", "b"] == (50, 0.0)
    assert found["response length", "0 to 19"] == (50, 1.0)
    assert found["response length", "40 to 59"] == (50, 0.0)
    assert found["context length", "0 to 19"] == (100, 0.5)


def test_a_subreddit_with_few_pairs_has_no_slice():
    pairs = Pairs(["c"] * 100, ["r"] * 100, ["rare"] * 5 + ["large"] * 95, [""] * 100)
    labels = {one.label for one in slices([_method(100)], pairs, n=100, batches=500)}
    assert "large" in labels
    assert "rare" not in labels
