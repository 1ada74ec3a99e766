"""Examples for the report: nearest responses of some contexts, and the hardest mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluation.pairs import Pairs
from rejoinder.evaluation.ranking import Method, distinct_candidates, scores


@dataclass(frozen=True)
class Example:
    """One context with the responses that a method ranks highest.

    Attributes:
        context: Text of the context.
        subreddit: Its subreddit, "" if unknown.
        answers: (score, response) of the highest-ranked candidates, best first.
        own: (score, response) of the pair's own response.
        own_rank: Rank of the pair's own response among the candidates.
    """

    context: str
    subreddit: str
    answers: list[tuple[float, str]]
    own: tuple[float, str]
    own_rank: float


def nearest_responses(
    method: Method, pairs: Pairs, *, examples: int = 8, answers: int = 3
) -> list[Example]:
    """Returns the highest-scoring distinct responses for the first contexts of `pairs`.

    Args:
        method: The method's matrices.
        pairs: The evaluated pairs.
        examples: Number of contexts.
        answers: Number of responses for each context.
    """
    candidates = distinct_candidates(pairs.responses)
    pool = method.responses[candidates.rows]
    rows = scores(method.contexts[:examples], pool)
    texts = [pairs.responses[row] for row in candidates.rows]
    return [
        _example(pairs, index, row, texts, int(candidates.correct[index]), answers)
        for index, row in enumerate(rows)
    ]


def hardest_mistakes(
    method: Method, pairs: Pairs, *, n: int, batches: int, examples: int = 12
) -> list[Example]:
    """Returns the pairs for which another response of the batch has the largest margin.

    Threads are chains: a context may also be in its batch as the response of another pair.
    A text is always most similar to itself, so these pairs are left out.

    Args:
        method: The method's matrices.
        pairs: The evaluated pairs.
        n: Pairs in a batch.
        batches: Maximum number of batches.
        examples: Maximum number of pairs to return.
    """
    complete = min(batches, method.contexts.shape[0] // n)
    mistakes: list[tuple[float, int, NDArray[np.floating]]] = []
    for start in range(0, complete * n, n):
        block = scores(method.contexts[start : start + n], method.responses[start : start + n])
        own = block.diagonal()
        for column in np.flatnonzero(block.max(axis=1) > own):
            best = start + int(block[column].argmax())
            if pairs.responses[best] == pairs.contexts[start + column]:
                continue
            margin = float(block[column].max() - own[column])
            mistakes.append((margin, start + int(column), block[column]))
        mistakes = sorted(mistakes, key=lambda entry: (-entry[0], entry[1]))[:examples]
    return [
        _example(pairs, index, row, pairs.responses[index - index % n :][:n], index % n, 1)
        for _, index, row in mistakes
    ]


def _example(
    pairs: Pairs,
    index: int,
    row: NDArray[np.floating],
    responses: Sequence[str],
    correct: int,
    answers: int,
) -> Example:
    best = np.argsort(-row, kind="stable")[:answers]
    better = np.count_nonzero(row > row[correct])
    equal = np.count_nonzero(row == row[correct]) - 1
    return Example(
        context=pairs.contexts[index],
        subreddit=pairs.subreddits[index],
        answers=[(float(row[i]), responses[i]) for i in best],
        own=(float(row[correct]), responses[correct]),
        own_rank=1 + better + equal / 2,
    )
