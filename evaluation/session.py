"""Runs a whole evaluation: reads the data, encodes with one model after the other, compares."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.evaluation.baselines import FIT_PAIRS, baselines
from rejoinder.evaluation.compare import compare, encode_pairs, fit_baseline, map_responses
from rejoinder.evaluation.curves import read_curves
from rejoinder.evaluation.examples import hardest_mistakes, nearest_responses
from rejoinder.evaluation.linear_map import FEWEST_PAIRS
from rejoinder.evaluation.mteb_model import evaluate_tasks, find_tasks
from rejoinder.evaluation.pairs import Pairs, load_pairs
from rejoinder.evaluation.paraphrase import evaluate_paraphrase, read_labelled_pairs
from rejoinder.evaluation.ranking import BATCHES, CANDIDATES, Method
from rejoinder.evaluation.results import Evaluation, ParaphraseResult, RankingData, SimilarityResult
from rejoinder.evaluation.sentence_pairs import read_scored_pairs
from rejoinder.evaluation.slices import histogram, slices
from rejoinder.evaluation.sts import Encode, evaluate_similarity
from rejoinder.models.device import use_first_gpu
from rejoinder.models.similarity import scale_to_unit_length
from rejoinder.versions import installed_version

if TYPE_CHECKING:
    from rejoinder.models.encoder import Encoder


def evaluate(
    models: dict[str, str],
    *,
    checkpoint: str | None = None,
    corpus: str | None = None,
    sts: Sequence[str] = (),
    paraphrase: Sequence[str] = (),
    mteb: Sequence[str] = (),
    splits: Sequence[str] = ("test",),
    candidates: int = CANDIDATES,
    batches: int = BATCHES,
    deduplicate: bool = False,
    seed: int = 0,
    keyword_methods: bool = True,
    batch_size: int | None = None,
    precision: str = "float32",
    extra_contexts: int = 0,
    linear_map: bool = False,
) -> Evaluation:
    """Returns the figures of all `models` and, with `corpus`, of the keyword baselines.

    Args:
        models: {name in tables: path or hub name, see `Encoder.load`}; may be empty.
        checkpoint: Checkpoint of the first model; the latest when None.
        corpus: Corpus folder for response selection; None leaves that part out.
        sts: Files of scored sentence pairs.
        paraphrase: Files of sentence pairs that are paraphrases or not.
        mteb: Names of tasks of mteb.
        splits: Splits of the corpus to take pairs from.
        candidates: n of 1-of-n.
        batches: Maximum number of batches of n pairs.
        deduplicate: Whether to keep only one pair of each context.
        seed: Seed of the pairs' order and of the bootstrap.
        keyword_methods: Whether to compare with TF-IDF and BM25.
        batch_size: Maximum number of texts encoded at once; None chooses by their lengths.
        precision: Precision of the computation, "float32" or "bfloat16".
        extra_contexts: With how many earlier turns of each context the models are scored, too.
        linear_map: Whether each model is scored with a learned map of its responses, too.

    Raises:
        UserError: an input cannot be read. All data is read before the first model.
    """
    start = time.perf_counter()
    evaluation = Evaluation(models=models, versions=_versions())
    scored = [read_scored_pairs(path) for path in sts]
    labelled = [read_labelled_pairs(path) for path in paraphrase]
    tasks = find_tasks(mteb)
    pairs = map_pairs = None
    if corpus is not None:
        limit = batches * candidates
        pairs = load_pairs(
            corpus,
            splits,
            limit=limit,
            seed=seed,
            deduplicate=deduplicate,
            extra_contexts=extra_contexts,
        )
        if not pairs:
            raise UserError(f"{corpus}: the {' and '.join(splits)} split holds no pairs")
        map_pairs = _pairs_to_map(corpus, seed) if linear_map else None
    methods: list[Method] = []
    for name, encoder, encode in _load_models(models, checkpoint, batch_size, precision):
        evaluation.curves += read_curves(name, models[name])
        if pairs is not None:
            methods.append(encode_pairs(name, encode, pairs))
            if extra_contexts:
                methods.append(_with_turns(methods[-1], encoder, pairs, extra_contexts, batch_size))
            if map_pairs is not None:
                plain = next(method for method in methods if method.name == name)
                train = encode_pairs(name, encode, map_pairs)
                print(f"{name}: learning a linear map on {len(map_pairs):,} pairs", file=sys.stderr)
                mapped, result = map_responses(plain, train, seed)
                methods.append(mapped)
                evaluation.maps.append(result)
        evaluation.similarity += [
            SimilarityResult(name, evaluate_similarity(file, encode)) for file in scored
        ]
        evaluation.paraphrase += [
            ParaphraseResult(name, evaluate_paraphrase(file, encode)) for file in labelled
        ]
        evaluation.mteb += evaluate_tasks(name, encoder, tasks)
    if corpus is not None and pairs is not None:
        fitted_on = None
        if keyword_methods:
            texts, fitted_on = _texts_to_fit(corpus, pairs, seed)
            methods += [fit_baseline(baseline, texts, pairs) for baseline in baselines()]
        evaluation.ranking = compare(methods, pairs, n=candidates, batches=batches, seed=seed)
        _add_details(evaluation, methods, pairs, candidates, batches)
        evaluation.data = RankingData(
            folder=corpus,
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


def _load_models(
    models: dict[str, str], checkpoint: str | None, batch_size: int | None, precision: str
) -> Iterator[tuple[str, "Encoder", Encode]]:
    """Yields (name, encoder, encode) of each model, so that only one model is in memory.

    `encode` gives unit length, because response selection compares by inner products.
    """
    if models:
        print(f"device: {use_first_gpu()}", file=sys.stderr)
    for number, (name, path) in enumerate(models.items()):
        from rejoinder.models.encoder import Encoder

        print(f"{name}: encoding", file=sys.stderr)
        chosen = None if number else checkpoint
        encoder = Encoder.load(path, checkpoint=chosen, precision=precision)

        def encode(texts: Sequence[str], encoder: Encoder = encoder) -> np.ndarray:
            return scale_to_unit_length(encoder.encode(list(texts), batch_size=batch_size))

        yield name, encoder, encode


def _with_turns(
    method: Method, encoder: "Encoder", pairs: Pairs, count: int, batch_size: int | None
) -> Method:
    """Returns the method of the same model whose contexts have their earlier turns."""
    turns = pairs.earlier or [[]] * len(pairs)
    contexts = encoder.encode_context(pairs.contexts, extra_contexts=turns, batch_size=batch_size)
    return Method(
        name=f"{method.name} with {count} earlier turns",
        is_model=True,
        contexts=scale_to_unit_length(contexts),
        responses=method.responses,
    )


def _add_details(
    evaluation: Evaluation, methods: Sequence[Method], pairs: Pairs, n: int, batches: int
) -> None:
    """Adds histograms and slices for all methods, and examples for the first."""
    if not methods or len(pairs) < n:
        return
    evaluation.histograms = [histogram(method, n=n, batches=batches) for method in methods]
    evaluation.slices = slices(methods, pairs, n=n, batches=batches)
    first = methods[0]
    evaluation.examples_of = first.name
    evaluation.neighbours = nearest_responses(first, pairs)
    evaluation.mistakes = hardest_mistakes(first, pairs, n=n, batches=batches)


def _texts_to_fit(folder: str, pairs: Pairs, seed: int) -> tuple[list[str], str]:
    """Returns texts of the train split, as in the reference, or of `pairs` if it has no text."""
    source = "training"
    if "train" in load_manifest(folder).has_text:
        fit = load_pairs(folder, ("train",), limit=FIT_PAIRS, seed=seed)
    else:
        fit, source = pairs, "evaluated"
    return [*fit.contexts, *fit.responses], f"{len(fit):,} {source} pairs"


def _pairs_to_map(folder: str, seed: int) -> Pairs:
    """Returns the training pairs on which linear maps are learned."""
    pairs = load_pairs(folder, ("train",), limit=FIT_PAIRS, seed=seed)
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(
            f"--map: the train split of {folder} holds {len(pairs)} pairs; at least {FEWEST_PAIRS} "
            "are needed"
        )
    return pairs


def _versions() -> dict[str, str]:
    packages = ("numpy", "scipy", "scikit-learn", "bm25s", "tensorflow")
    return {name: installed_version(name) or "source" for name in packages}
