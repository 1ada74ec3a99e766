import bm25s
import numpy as np
import pytest

from rejoinder.evaluation.baselines import BM25, K1, B, Okapi, TfIdf, baselines
from rejoinder.evaluation.ranking import scores

TEXTS = ["the cat sat on the mat", "a dog and a cat", "the stock market fell", "dogs bark", "so"]
CONTEXTS = ["my cat sat", "is the market open", "the the dog", ""]
RESPONSES = ["A cat on a mat.", "It fell, the market fell!", "a dog", "42"]


@pytest.mark.parametrize("baseline", baselines(), ids=lambda baseline: baseline.name)
def test_the_response_that_shares_a_rare_word_scores_highest(baseline):
    baseline.fit(TEXTS)
    result = scores(*baseline.represent(CONTEXTS[:3], RESPONSES))
    assert result.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("baseline", baselines(), ids=lambda baseline: baseline.name)
def test_an_empty_text_has_score_zero(baseline):
    baseline.fit(TEXTS)
    assert not scores(*baseline.represent(CONTEXTS, RESPONSES))[3].any()


def test_tf_idf_scores_are_cosines():
    baseline = TfIdf()
    baseline.fit(TEXTS)
    assert scores(*baseline.represent(TEXTS, TEXTS)).diagonal() == pytest.approx([1.0] * 5)


def test_bm25_equals_its_formula():
    from sklearn.feature_extraction.text import TfidfVectorizer

    baseline = BM25()
    baseline.fit(TEXTS)
    vectorizer = TfidfVectorizer().fit(TEXTS)

    def weights(texts):
        rows = vectorizer.transform(texts).toarray()
        fitted = vectorizer.transform(TEXTS).toarray()
        mean = fitted.sum(axis=1).mean()
        found = (fitted > 0).sum(axis=0)
        idf = np.log((len(TEXTS) - found + 0.5) / (found + 0.5))
        saturation = K1 * (1 - B + B * rows.sum(axis=1, keepdims=True) / mean)
        return rows * (K1 + 1) / (rows + saturation) * idf

    assert scores(*baseline.represent(CONTEXTS, RESPONSES)) == pytest.approx(
        weights(CONTEXTS) @ weights(RESPONSES).T
    )


def test_okapi_scores_are_those_of_bm25s():
    baseline = Okapi()
    baseline.fit(TEXTS)
    index = bm25s.BM25(k1=K1, b=B, method="lucene", dtype="float64")
    split = {"stopwords": [], "show_progress": False, "return_ids": False}
    index.index(bm25s.tokenize(TEXTS + RESPONSES, **split), show_progress=False)
    queries = bm25s.tokenize(CONTEXTS[:3], **split)
    expected = [index.get_scores(query)[len(TEXTS) :] for query in queries]
    ours = scores(*baseline.represent(CONTEXTS[:3], RESPONSES))
    assert ours == pytest.approx(np.array(expected), rel=1e-6)
