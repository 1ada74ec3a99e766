"""A whole evaluation: reads the pairs, loads one model after the other, compares."""

import sys
import time
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.evaluation.baselines import FIT_PAIRS, baselines
from rejoinder.evaluation.compare import Method, compare, encode_pairs, fit_baseline
from rejoinder.evaluation.curves import read_curves
from rejoinder.evaluation.examples import hardest_mistakes, nearest_responses
from rejoinder.evaluation.pairs import Pairs, load_pairs
from rejoinder.evaluation.paraphrase import evaluate_paraphrase, read_labelled_pairs
from rejoinder.evaluation.ranking import BATCHES, CANDIDATES
from rejoinder.evaluation.results import Evaluation, ParaphraseResult, RankingData, SimilarityResult
from rejoinder.evaluation.slices import histogram, slices
from rejoinder.evaluation.sts import evaluate_similarity, read_scored_pairs


def evaluate(
    models: dict[str, str],
    *,
    data: str | None = None,
    sts: Sequence[str] = (),
    paraphrase: Sequence[str] = (),
    splits: Sequence[str] = ("test",),
    candidates: int = CANDIDATES,
    batches: int = BATCHES,
    deduplicate: bool = False,
    seed: int = 0,
    keyword_methods: bool = True,
    batch_size: int | None = None,
) -> Evaluation:
    """Returns the figures of all `models` and, with `data`, of the keyword methods.

    Args:
        models: {name in tables: anything that `models.Encoder.load` takes}; may be empty.
        data: Corpus folder for response selection; None leaves that part out.
        sts: Files of scored sentence pairs.
        paraphrase: Files of sentence pairs that are paraphrases or not.
        splits: Splits of the corpus the pairs come from.
        candidates: n of 1-of-n.
        batches: Most batches of n pairs.
        deduplicate: Keep one pair of each context.
        seed: Of the pairs' order and of the bootstrap.
        keyword_methods: Compare with TF-IDF and BM25.
        batch_size: Most texts encoded at once; None chooses by their lengths.

    Raises:
        UserError: an input cannot be read; models are loaded after all inputs are.
    """
    start = time.perf_counter()
    evaluation = Evaluation(models=models, versions=_versions())
    scored = [read_scored_pairs(path) for path in sts]
    labelled = [read_labelled_pairs(path) for path in paraphrase]
    pairs = None
    if data is not None:
        limit = batches * candidates
        pairs = load_pairs(data, splits, limit=limit, seed=seed, deduplicate=deduplicate)
        if not pairs:
            raise UserError(f"{data}: the {' and '.join(splits)} split holds no pairs")
    methods: list[Method] = []
    for name, path in models.items():
        from rejoinder.models.encoder import Encoder

        evaluation.curves += read_curves(name, path)
        print(f"{name}: encoding", file=sys.stderr)
        encoder = Encoder.load(path)

        def encode(texts: Sequence[str], encoder: Encoder = encoder) -> np.ndarray:
            return encoder.encode(list(texts), batch_size=batch_size)

        if pairs is not None:
            methods.append(encode_pairs(name, encode, pairs))
        evaluation.similarity += [
            SimilarityResult(name, evaluate_similarity(file, encode)) for file in scored
        ]
        evaluation.paraphrase += [
            ParaphraseResult(name, evaluate_paraphrase(file, encode)) for file in labelled
        ]
    if data is not None and pairs is not None:
        fitted_on = None
        if keyword_methods:
            texts, fitted_on = _texts_to_fit(data, pairs, seed)
            methods += [fit_baseline(baseline, texts, pairs) for baseline in baselines()]
        evaluation.ranking = compare(methods, pairs, n=candidates, batches=batches, seed=seed)
        _add_details(evaluation, methods, pairs, candidates, batches)
        evaluation.data = RankingData(
            folder=data,
            splits=tuple(splits),
            pairs=len(pairs),
            batches=min(batches, len(pairs) // candidates),
            batches_asked=batches,
            candidates=candidates,
            distinct_responses=len(set(pairs.responses)),
            deduplicate=deduplicate,
            seed=seed,
            fitted_on=fitted_on,
        )
    evaluation.seconds = time.perf_counter() - start
    return evaluation


def _add_details(
    evaluation: Evaluation, methods: Sequence[Method], pairs: Pairs, n: int, batches: int
) -> None:
    """Adds what the report shows beyond the table, examples for the first method only."""
    if not methods or len(pairs) < n:
        return
    evaluation.histograms = [histogram(method, n=n, batches=batches) for method in methods]
    evaluation.slices = slices(methods, pairs, n=n, batches=batches)
    first = methods[0]
    evaluation.examples_of = first.name
    evaluation.neighbours = nearest_responses(first, pairs)
    evaluation.mistakes = hardest_mistakes(first, pairs, n=n, batches=batches)


def _texts_to_fit(folder: str, pairs: Pairs, seed: int) -> tuple[list[str], str]:
    """Returns texts of the train split as the reference, or of `pairs` where it has none."""
    source = "training"
    if "train" in load_manifest(folder).has_text:
        fit = load_pairs(folder, ("train",), limit=FIT_PAIRS, seed=seed)
    else:
        fit, source = pairs, "evaluated"
    return [*fit.contexts, *fit.responses], f"{len(fit):,} {source} pairs"


def _versions() -> dict[str, str]:
    packages = ("numpy", "scipy", "scikit-learn", "bm25s", "tensorflow")
    return {name: version(name) for name in packages}
