"""Response selection: which response belongs to a context.

A method is given as two matrices, contexts [p, d] and responses [p, d] (dense embeddings or
sparse term weights). Row i of both is pair i, and their product holds the scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluation.metrics import one_of_n_hits, ranks

# A dense NumPy array or a scipy.sparse matrix, which have no common base type.
Matrix = Any

CANDIDATES = 100
BATCHES = 500
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Method:
    """One method's matrices for the evaluated pairs.

    Attributes:
        name: Name in tables.
        is_model: Whether this is an encoder and not a keyword baseline.
        contexts: Matrix [p, d].
        responses: Matrix [p, d].
        texts_per_second: Rate of encoding, None for keyword baselines.
    """

    name: str
    is_model: bool
    contexts: Matrix
    responses: Matrix
    texts_per_second: float | None = None


def scores(contexts: Matrix, responses: Matrix) -> NDArray[np.floating]:
    """Returns the dense product [c, r] of contexts [c, d] and responses [r, d]."""
    product = contexts @ responses.T
    return product if isinstance(product, np.ndarray) else product.toarray()


def in_batch_hits(
    contexts: Matrix, responses: Matrix, *, n: int = CANDIDATES, batches: int = BATCHES
) -> NDArray[np.bool_]:
    """Returns which contexts rank their own response first among the n of their batch.

    As in the reference, batches are n consecutive pairs, and an incomplete last batch is
    left out. The mean is the 1-of-n accuracy.

    Args:
        contexts: Matrix [p, d].
        responses: Matrix [p, d].
        n: Pairs in a batch.
        batches: Maximum number of batches.

    Returns:
        bool [complete batches * n], empty if there are fewer than n pairs.
    """
    complete = min(batches, contexts.shape[0] // n)
    hits = [
        one_of_n_hits(scores(contexts[start : start + n], responses[start : start + n]))
        for start in range(0, complete * n, n)
    ]
    return np.concatenate(hits) if hits else np.zeros(0, bool)


def in_batch_accuracy(
    contexts: Matrix, responses: Matrix, *, n: int = CANDIDATES, batches: int = BATCHES
) -> float:
    """Returns the 1-of-n accuracy in [0, 1]; NaN if there are fewer than n pairs."""
    hits = in_batch_hits(contexts, responses, n=n, batches=batches)
    return float(hits.mean()) if len(hits) else float("nan")


@dataclass(frozen=True)
class Candidates:
    """The distinct responses of a set of pairs.

    Attributes:
        rows: int [c], for each distinct response the first pair that has it.
        correct: int [p], the candidate of each pair.
    """

    rows: NDArray[np.intp]
    correct: NDArray[np.intp]


def distinct_candidates(responses: Sequence[str]) -> Candidates:
    """Returns each response text once: two pairs with the response "Thanks!" share a candidate."""
    seen: dict[str, int] = {}
    rows: list[int] = []
    correct: list[int] = []
    for row, text in enumerate(responses):
        if text not in seen:
            seen[text] = len(rows)
            rows.append(row)
        correct.append(seen[text])
    return Candidates(np.array(rows, np.intp), np.array(correct, np.intp))


def full_ranks(contexts: Matrix, responses: Matrix, candidates: Candidates) -> NDArray[np.float64]:
    """Returns the rank [p] of each pair's response among all distinct responses.

    Computes 256 rows of scores at a time, so that memory does not grow with the square of p.
    """
    pool = responses[candidates.rows]
    blocks = [
        ranks(
            scores(contexts[start : start + _ROWS_AT_ONCE], pool),
            candidates.correct[start : start + _ROWS_AT_ONCE],
        )
        for start in range(0, contexts.shape[0], _ROWS_AT_ONCE)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0)
