"""Chooses the hard negatives of a pair among the responses nearest to its context."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Candidate(NamedTuple):
    """A response that an index found for a context.

    Attributes:
        score: Cosine similarity with the context.
        ids: Token ids of the response.
        thread: Thread that it comes from; empty if unknown.
        context: Text of the context that it answers.
        text: Its text.
    """

    score: float
    ids: Sequence[int]
    thread: str
    context: str
    text: str


class Pair(NamedTuple):
    """The pair that negatives are chosen for.

    Attributes:
        score: Cosine similarity of its context and its response.
        context_ids: Token ids of the context.
        response_ids: Token ids of the response.
        thread: Its thread; empty if unknown.
        context: Text of the context.
    """

    score: float
    context_ids: Sequence[int]
    response_ids: Sequence[int]
    thread: str
    context: str


def score_limit(score: float, share: float) -> float:
    """Returns the highest score of a negative.

    NV-Retriever (https://arxiv.org/abs/2407.15831, section 3.2, "TopK-PercPos") takes a share of
    the true pair's score. Of a negative score, for which a share would be more, the distance is
    the same as below a positive one: `relative_margin` of sentence-transformers'
    `mine_hard_negatives`.

    Args:
        score: Score of the true pair.
        share: Share of it, in (0, 1].
    """
    return score - (1.0 - share) * abs(score)


def select_negatives(
    pair: Pair, candidates: Iterable[Candidate], *, count: int, share: float
) -> list[Candidate]:
    """Returns up to `count` negatives of a pair, the most similar ones first.

    A candidate is left out if its score is above `score_limit`, because it may be a right
    response too; if it comes from the pair's own thread, or answers an equal context; if its text
    is the pair's context or response; or if the same text was chosen before.

    Args:
        pair: The pair.
        candidates: Responses in the order of their scores, highest first.
        count: Maximum number of negatives.
        share: See `score_limit`.
    """
    limit = score_limit(pair.score, share)
    seen = {tuple(pair.context_ids), tuple(pair.response_ids)}
    chosen: list[Candidate] = []
    for candidate in candidates:
        ids = tuple(candidate.ids)
        own = bool(pair.thread) and candidate.thread == pair.thread
        own = own or candidate.context == pair.context
        if candidate.score > limit or own or ids in seen:
            continue
        seen.add(ids)
        chosen.append(candidate)
        if len(chosen) == count:
            break
    return chosen
