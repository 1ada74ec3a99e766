"""Keyword baselines on real Reddit pairs, compared with independent computations."""

import io
import json
import os
import pathlib

import bm25s
import numpy as np
import pytest
import zstandard
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from rejoinder.evaluation.baselines import BM25, Okapi, TfIdf
from rejoinder.evaluation.compare import compare, fit_baseline
from rejoinder.evaluation.pairs import select_pairs
from rejoinder.evaluation.sentence_pairs import read_scored_pairs
from rejoinder.evaluation.sts import evaluate_similarity

DATA = pathlib.Path(
    os.environ.get("REJOINDER_DATA", pathlib.Path(__file__).parents[2] / "../shared/data")
)
GOLDEN = DATA / ".." / "golden"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA}: no such folder (REJOINDER_DATA)"),
]


def _pairs(*names, limit=50_000):
    rows = []
    for name in names:
        data = (GOLDEN / name).read_bytes()
        if name.endswith(".zst"):
            data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
        for line in data.decode().rstrip("\n").split("\n"):
            row = json.loads(line)
            rows.append([row[key] for key in ("context", "response", "subreddit", "thread_id")])
    return select_pairs(rows, limit=limit)


def _derived():
    return _pairs("derived_test.jsonl.zst"), _pairs("derived_train.jsonl.zst", limit=10_000)


def _three_months():
    # The 65 test pairs are fewer than a batch of 100, so both splits are ranked.
    train = "dumps_2005-12_to_2006-02_train.jsonl"
    return _pairs(train, train.replace("train", "test")), _pairs(train)


SETS = {"derived": _derived, "three months": _three_months}

# Correct pairs of all pairs in complete batches of 100, order seed 0.
HITS = {
    ("derived", "TF-IDF"): (2171, 7500),
    ("derived", "BM25"): (1956, 7500),
    ("derived", "BM25 (Okapi)"): (2093, 7500),
    ("three months", "TF-IDF"): (143, 600),
    ("three months", "BM25"): (155, 600),
    ("three months", "BM25 (Okapi)"): (135, 600),
}


@pytest.fixture(scope="module", params=SETS)
def data(request):
    return request.param, *SETS[request.param]()


@pytest.mark.parametrize("baseline", [TfIdf, BM25, Okapi])
def test_one_of_100_equals_an_independent_computation(data, baseline):
    name, pairs, train = data
    texts = [*train.contexts, *train.responses]
    method = fit_baseline(baseline(), texts, pairs)
    (ours,) = compare([method], pairs)
    independent = {TfIdf: _tf_idf, BM25: _bm25, Okapi: _okapi}[baseline](texts, pairs.responses)
    hits = total = 0
    rng = np.random.default_rng(7)
    for start in range(0, len(pairs) - 99, 100):
        # The reference's loop: contexts shuffled, responses in place, argmax over responses.
        shuffle = rng.permutation(100)
        batch = slice(start, start + 100)
        contexts = [pairs.contexts[batch][index] for index in shuffle]
        predictions = independent(contexts, batch).argmax(axis=1)
        hits += int((predictions == shuffle).sum())
        total += 100
    assert ours.accuracy == pytest.approx(hits / total, abs=1e-12)
    assert (hits, total) == HITS[name, baseline.name]


def _tf_idf(texts, responses):
    words = HashingVectorizer()
    weights = TfidfTransformer().fit(words.transform(texts))

    def score(contexts, batch):
        sides = (weights.transform(words.transform(side)) for side in (contexts, responses[batch]))
        return cosine_similarity(*sides)

    return score


def _bm25(texts, responses):
    words = TfidfVectorizer().fit(texts)
    fitted = words.transform(texts)
    found = np.asarray((fitted > 0).sum(axis=0)).ravel()
    idf = np.log((len(texts) - found + 0.5) / (found + 0.5))
    mean = fitted.sum(axis=1).mean()

    def weights(side):
        rows = words.transform(side).toarray()
        saturation = 2.0 * (0.25 + 0.75 * rows.sum(axis=1, keepdims=True) / mean)
        return rows * 3.0 / (rows + saturation) * idf

    return lambda contexts, batch: weights(contexts) @ weights(responses[batch]).T


def _okapi(texts, responses):
    split = {"stopwords": [], "show_progress": False, "return_ids": False, "allow_empty": False}
    index = bm25s.BM25(k1=2.0, b=0.75, method="lucene", dtype="float64")
    index.index(bm25s.tokenize([*texts, *responses], **split), show_progress=False)

    def score(contexts, batch):
        queries = bm25s.tokenize(contexts, **split)
        return np.array(
            [
                # bm25s gives texts without a word the token "": they must not match each other.
                index.get_scores(query)[len(texts) :][batch] if any(query) else np.zeros(100)
                for query in queries
            ]
        )

    return score


CHECKPOINT = pathlib.Path(
    os.environ.get("REJOINDER_MPNET", "~/.cache/rejoinder/all-mpnet-base-v2")
).expanduser()


@pytest.mark.skipif(not CHECKPOINT.is_dir(), reason=f"{CHECKPOINT}: no such folder")
def test_the_published_checkpoint_has_its_known_score_on_sts_b():
    from rejoinder.models.encoder import Encoder

    data = read_scored_pairs(str(DATA / "eval/stsb-en-test.csv"))
    result = evaluate_similarity(data, Encoder.load(CHECKPOINT).encode)
    # sentence-transformers gives 0.83422 for the same folder.
    assert result.spearman == pytest.approx(0.83422, abs=5e-5)


def test_all_rows_of_similarity_sets_are_read():
    test = read_scored_pairs(str(DATA / "eval/stsb-en-test.csv"))
    assert (len(test.scores), min(test.scores), max(test.scores)) == (1379, 0.0, 5.0)
    assert len(read_scored_pairs(str(DATA / "eval/stsb-en-dev.csv")).scores) == 1500
    assert len(read_scored_pairs(str(DATA / "eval/SICK_trial.txt")).scores) == 500
