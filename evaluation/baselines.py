"""Keyword baselines, evaluated on the same batches as the encoders.

Each baseline turns contexts and responses into two sparse matrices whose product holds the
scores. Encoders give their embeddings in the same form.

TF-IDF and BM25 are defined as in PolyAI's conversational benchmarks, so that the results can
be compared with the published ones (https://github.com/PolyAI-LDN/conversational-datasets,
baselines/; the parameters are the same, the code is not). Their BM25 weights both sides and
uses TF-IDF weights instead of term counts; `Okapi` is the textbook's BM25, from bm25s.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy import sparse

FIT_PAIRS = 10_000  # training pairs, as in the reference
K1, B = 2.0, 0.75


class Baseline(Protocol):
    """A method that is fitted on texts and represents pairs as sparse matrices."""

    name: str

    def fit(self, texts: Sequence[str]) -> None:
        """Learns document frequencies from `texts`."""

    def represent(
        self, contexts: Sequence[str], responses: Sequence[str]
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Returns sparse [contexts, terms] and [responses, terms]."""


class TfIdf:
    """Cosine of hashed TF-IDF vectors, which have no out-of-vocabulary words."""

    name = "TF-IDF"

    def fit(self, texts: Sequence[str]) -> None:
        """Learns document frequencies from `texts`."""
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
        from sklearn.pipeline import make_pipeline

        self._vectors = make_pipeline(HashingVectorizer(), TfidfTransformer()).fit(texts)

    def represent(
        self, contexts: Sequence[str], responses: Sequence[str]
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Returns L2-normalized rows."""
        return self._vectors.transform(contexts), self._vectors.transform(responses)


class BM25:
    """The reference's BM25: saturated TF-IDF weights times Robertson's IDF, on both sides."""

    name = "BM25"

    def fit(self, texts: Sequence[str]) -> None:
        """Learns the vocabulary, document frequencies and the mean length from `texts`."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectors = TfidfVectorizer()
        weights = self._vectors.fit_transform(texts)
        found = np.bincount(weights.indices, minlength=weights.shape[1])
        self._idf = np.log((len(texts) - found + 0.5) / (found + 0.5))
        self._mean_length = weights.sum() / len(texts)

    def represent(
        self, contexts: Sequence[str], responses: Sequence[str]
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Returns the weights of both sides; a word that `fit` did not see has weight 0."""
        return self._weight(contexts), self._weight(responses)

    def _weight(self, texts: Sequence[str]) -> sparse.csr_matrix:
        weights = self._vectors.transform(texts).tocsr()
        length = np.asarray(weights.sum(axis=1)).ravel()
        saturation = K1 * (1 - B + B * length / self._mean_length)
        per_entry = np.repeat(saturation, np.diff(weights.indptr))
        data = weights.data * (K1 + 1) / (weights.data + per_entry) * self._idf[weights.indices]
        return sparse.csr_matrix((data, weights.indices, weights.indptr), shape=weights.shape)


class Okapi:
    """BM25 on term counts, as in search engines (bm25s, with Lucene's IDF)."""

    name = "BM25 (Okapi)"

    def fit(self, texts: Sequence[str]) -> None:
        """Stores `texts`; with the responses they give document frequencies and lengths."""
        self._texts = list(texts)

    def represent(
        self, contexts: Sequence[str], responses: Sequence[str]
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Returns term counts of the contexts and bm25s' index of the responses."""
        import bm25s
        from sklearn.feature_extraction.text import CountVectorizer

        tokens = bm25s.tokenize(
            [*self._texts, *responses], stopwords=[], show_progress=False, allow_empty=False
        )
        index = bm25s.BM25(k1=K1, b=B, method="lucene", dtype="float64")
        index.index(tokens, create_empty_token=False, show_progress=False)
        scores = index.scores
        documents = sparse.csc_matrix(
            (scores["data"], scores["indices"], scores["indptr"]),
            shape=(scores["num_docs"], len(index.vocab_dict)),
        ).tocsr()
        # bm25s and scikit-learn split words by the same pattern, so the vocabulary is shared.
        counts = CountVectorizer(vocabulary=index.vocab_dict).transform(contexts)
        return counts.tocsr(), documents[len(self._texts) :]


def baselines() -> tuple[Baseline, ...]:
    """Returns a new instance of each baseline."""
    return TfIdf(), BM25(), Okapi()
