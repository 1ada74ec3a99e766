import numpy as np
import pytest

from rejoinder.evaluation.sentence_pairs import ScoredPairs
from rejoinder.evaluation.sts import evaluate_similarity


def test_similarity_is_the_correlation_of_cosine_with_scores():
    vectors = {"x": [1.0, 0.0], "near": [1.0, 0.1], "far": [0.2, 1.0], "no": [-1.0, 0.0]}
    data = ScoredPairs("demo", ["x"] * 3, ["near", "far", "no"], [5.0, 1.0, 0.0])
    result = evaluate_similarity(data, lambda texts: np.array([vectors[t] for t in texts]))
    assert result.pairs == 3
    assert result.spearman == pytest.approx(1.0)
    assert 0.9 < result.pearson < 1
