"""Compares methods on the same pairs."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from rejoinder.evaluation.baselines import Baseline
from rejoinder.evaluation.intervals import mean_interval
from rejoinder.evaluation.linear_map import learn_map
from rejoinder.evaluation.metrics import mean_reciprocal_rank, recall_at_k
from rejoinder.evaluation.pairs import Pairs
from rejoinder.evaluation.ranking import (
    BATCHES,
    CANDIDATES,
    Method,
    distinct_candidates,
    full_ranks,
    in_batch_hits,
)
from rejoinder.evaluation.results import RECALL_AT, MapResult, RankingResult
from rejoinder.evaluation.sts import Encode

_OF_CHOICE = ("rate", "regularizer", "epochs", "accuracy", "unmapped")


def encode_pairs(name: str, encode: Encode, pairs: Pairs) -> Method:
    """Returns the embeddings of both sides of `pairs`; each distinct text is encoded once."""
    texts = list(dict.fromkeys([*pairs.contexts, *pairs.responses]))
    row = {text: index for index, text in enumerate(texts)}
    start = time.perf_counter()
    embeddings = encode(texts)
    rate = len(texts) / (time.perf_counter() - start)
    contexts = embeddings[[row[text] for text in pairs.contexts]]
    responses = embeddings[[row[text] for text in pairs.responses]]
    return Method(name, True, contexts, responses, rate)


def fit_baseline(baseline: Baseline, texts: Sequence[str], pairs: Pairs) -> Method:
    """Fits `baseline` on `texts`; returns the term weights of both sides of `pairs`."""
    baseline.fit(texts)
    contexts, responses = baseline.represent(pairs.contexts, pairs.responses)
    return Method(baseline.name, False, contexts, responses)


def map_responses(method: Method, train: Method, seed: int) -> tuple[Method, MapResult]:
    """Learns a linear map of the responses of a model.

    Args:
        method: The model's embeddings of the evaluated pairs.
        train: Its embeddings of training pairs.
        seed: Of the search.

    Returns:
        The method whose responses are mapped, and how the map was learned.
    """
    choice = learn_map(train.contexts, train.responses, seed=seed)
    mapped = Method(f"{method.name}, mapped", True, method.contexts, choice.map(method.responses))
    values = {name: getattr(choice, name) for name in _OF_CHOICE}
    return mapped, MapResult(method.name, len(train.contexts), **values)


def compare(
    methods: Sequence[Method],
    pairs: Pairs,
    *,
    n: int = CANDIDATES,
    batches: int = BATCHES,
    seed: int = 0,
) -> list[RankingResult]:
    """Returns one result for each of `methods`, in their order.

    The gains are differences to the first model, pair by pair on the same batches.

    Args:
        methods: Matrices of embeddings or term weights, their rows in the order of `pairs`.
        pairs: The evaluated pairs.
        n: n of 1-of-n.
        batches: Maximum number of batches of n pairs.
        seed: Of the bootstrap.
    """
    candidates = distinct_candidates(pairs.responses)
    hits = [in_batch_hits(m.contexts, m.responses, n=n, batches=batches) for m in methods]
    reference = next((index for index, method in enumerate(methods) if method.is_model), None)
    results = []
    for index, (method, own) in enumerate(zip(methods, hits, strict=True)):
        ranks = full_ranks(method.contexts, method.responses, candidates)
        gain: dict[str, Any] = {"gain": None, "gain_interval": None}
        if len(own) and reference is not None and index != reference:
            difference = own.astype(np.float64) - hits[reference]
            gain["gain"] = float(difference.mean())
            gain["gain_interval"] = _interval(difference, pairs, seed)
        results.append(
            RankingResult(
                name=method.name,
                is_model=method.is_model,
                accuracy=float(own.mean()) if len(own) else None,
                accuracy_interval=_interval(own, pairs, seed) if len(own) else None,
                **gain,
                recall={k: recall_at_k(ranks, k) for k in RECALL_AT},
                mrr=mean_reciprocal_rank(ranks),
                texts_per_second=method.texts_per_second,
            )
        )
    return results


def _interval(values: np.ndarray, pairs: Pairs, seed: int) -> Any:
    groups = pairs.groups()
    return mean_interval(values, groups and groups[: len(values)], seed=seed)
