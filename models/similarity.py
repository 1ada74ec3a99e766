"""Similarities of embeddings, as sentence-transformers computes them."""

from collections.abc import Callable
from typing import Any

import numpy as np


def scale_to_unit_length(embeddings: np.ndarray) -> np.ndarray:
    """Returns embeddings float32 [n, d] of length 1; zeros stay zeros."""
    norms = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    return embeddings / np.maximum(norms, 1e-12)


def similarity_matrix(first: Any, second: Any, name: str) -> np.ndarray:
    """Compares all embeddings with all.

    Args:
        first: float [n, d] or [d].
        second: float [m, d] or [d].
        name: `cosine`, `dot`, `euclidean` or `manhattan`.

    Returns:
        float32 [n, m]; distances are negative.
    """
    a, b = _rows(first), _rows(second)
    if name == "cosine":
        a, b = scale_to_unit_length(a), scale_to_unit_length(b)
    if name in ("cosine", "dot"):
        return a @ b.T
    distance = _DISTANCES[name]
    # Row by row, so that no array of [n, m, d] is made.
    return np.stack([-distance(b - row) for row in a]) if len(a) else np.zeros([0, len(b)])


def pairwise_similarity(first: Any, second: Any, name: str) -> np.ndarray:
    """Compares each embedding with the one in the same row.

    Args:
        first: float [n, d] or [d].
        second: float [n, d] or [d].
        name: As in `similarity_matrix`.

    Returns:
        float32 [n]; distances are negative.
    """
    a, b = _rows(first), _rows(second)
    if name == "cosine":
        a, b = scale_to_unit_length(a), scale_to_unit_length(b)
    if name in ("cosine", "dot"):
        return (a * b).sum(-1)
    return -_DISTANCES[name](a - b)


_DISTANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "euclidean": lambda difference: np.linalg.norm(difference, axis=-1),
    "manhattan": lambda difference: np.abs(difference).sum(-1),
}


def _rows(embeddings: Any) -> np.ndarray:
    return np.atleast_2d(np.asarray(embeddings, np.float32))
