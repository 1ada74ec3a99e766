import numpy as np
import pytest
from scipy import sparse

from rejoinder.evaluation.ranking import (
    distinct_candidates,
    full_ranks,
    in_batch_accuracy,
    in_batch_hits,
)


def test_a_response_is_compared_only_within_its_batch():
    # Pair 2 repeats pair 0; batches of two separate them.
    vectors = np.eye(2)[[0, 1, 0, 1]]
    assert in_batch_accuracy(vectors, vectors, n=2) == 1
    assert in_batch_accuracy(vectors, vectors, n=4) == 0.5


def test_an_incomplete_batch_is_left_out_and_batches_can_be_limited():
    vectors = np.eye(10)
    assert len(in_batch_hits(vectors, vectors, n=4)) == 8
    assert len(in_batch_hits(vectors, vectors, n=4, batches=1)) == 4


def test_fewer_pairs_than_candidates_have_no_accuracy():
    assert np.isnan(in_batch_accuracy(np.eye(99), np.eye(99)))


def test_sparse_and_dense_matrices_give_the_same_results():
    rng = np.random.default_rng(0)
    contexts, responses = rng.random((2, 300, 20))
    candidates = distinct_candidates([str(i) for i in range(300)])
    as_sparse = sparse.csr_matrix(contexts), sparse.csr_matrix(responses)
    assert in_batch_accuracy(contexts, responses) == in_batch_accuracy(*as_sparse)
    assert full_ranks(*as_sparse, candidates) == pytest.approx(
        full_ranks(contexts, responses, candidates)
    )


def test_responses_of_equal_text_are_one_candidate():
    candidates = distinct_candidates(["yes", "no", "yes"])
    assert candidates.rows.tolist() == [0, 1]
    assert candidates.correct.tolist() == [0, 1, 0]
    vectors = np.eye(2)[[0, 1, 0]]
    assert full_ranks(vectors, vectors, candidates).tolist() == [1, 1, 1]


def test_full_ranks_equal_sorting_all_scores():
    rng = np.random.default_rng(1)
    contexts, responses = rng.normal(size=(2, 700, 8))
    order = (-(contexts @ responses.T)).argsort(axis=1)
    expected = [1 + order[row].tolist().index(row) for row in range(700)]
    candidates = distinct_candidates([str(i) for i in range(700)])
    assert full_ranks(contexts, responses, candidates).tolist() == expected
