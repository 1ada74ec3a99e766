import numpy as np

from rejoinder.evaluation.examples import hardest_mistakes, nearest_responses
from rejoinder.evaluation.pairs import Pairs
from rejoinder.evaluation.ranking import Method

PAIRS = Pairs(["c0", "c1", "c2", "c3"], ["r0", "r1", "r2", "r3"], ["s"] * 4, [""] * 4)
# Context 1 prefers response 0 by 0.5, context 2 prefers response 3 by 0.1.
SCORES = np.array([[1, 0, 0, 0], [0.7, 0.2, 0, 0], [0, 0, 0.5, 0.6], [0, 0, 0, 1]], float)
METHOD = Method("demo", True, SCORES, np.eye(4))


def test_nearest_responses_are_the_highest_scoring_of_all():
    first, second, *_ = nearest_responses(METHOD, PAIRS, answers=2)
    assert first.own_rank == 1
    assert second.context == "c1"
    assert second.answers == [(0.7, "r0"), (0.2, "r1")]
    assert second.own == (0.2, "r1")
    assert second.own_rank == 2


def test_mistakes_are_ordered_by_margin_and_correct_pairs_left_out():
    mistakes = hardest_mistakes(METHOD, PAIRS, n=2, batches=10)
    assert [(one.context, one.answers[0][1]) for one in mistakes] == [("c1", "r0"), ("c2", "r3")]
    assert len(hardest_mistakes(METHOD, PAIRS, n=2, batches=10, examples=1)) == 1


def test_mistakes_are_found_within_a_batch():
    swapped = Method("demo", True, np.eye(4)[[2, 3, 0, 1]], np.eye(4))
    # Every context prefers a response of the other batch of two.
    assert hardest_mistakes(swapped, PAIRS, n=2, batches=10) == []
    assert len(hardest_mistakes(swapped, PAIRS, n=4, batches=10)) == 4


def test_a_pair_whose_context_is_the_best_response_is_left_out():
    pairs = Pairs(["c0", "r0", "c2", "c3"], PAIRS.responses, ["s"] * 4, [""] * 4)
    assert [one.context for one in hardest_mistakes(METHOD, pairs, n=2, batches=10)] == ["c2"]
