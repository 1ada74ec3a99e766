"""Keyword baselines: how far counting words alone goes on the same batches.

Each method turns contexts and responses into two sparse matrices whose product holds the
scores, the same form in which an encoder gives its embeddings.

TF-IDF and BM25 are those of PolyAI's conversational benchmarks, so that the results stand
beside the published ones (https://github.com/PolyAI-LDN/conversational-datasets, baselines/;
the parameters are theirs, the code is ours). Their BM25 weighs both sides and takes TF-IDF
weights where the textbook has term counts; `Okapi` is the textbook's, from bm25s.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy import sparse

FIT_PAIRS = 10_000  # training pairs that the reference's baselines see
K1, B = 2.0, 0.75


class Baseline(Protocol):
    """Fits on texts, then turns both sides of pairs into matrices whose product scores them."""

    name: str

    def fit(self, texts: Sequence[str]) -> None:
        """Learns document frequencies from `texts`."""

    def represent(
        self, contexts: Sequence[str], responses: Sequence[str]
    ) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Returns sparse [contexts, terms] and [responses, terms]."""


class TfIdf:
    """Cosine of hashed TF-IDF vectors; no word is out of vocabulary."""

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
    """The reference's BM25: saturated TF-IDF weights times Robertson's idf, on both sides."""

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
        """Returns both sides weighed alike; a word that `fit` did not see counts nothing."""
        return self._weigh(contexts), self._weigh(responses)

    def _weigh(self, texts: Sequence[str]) -> sparse.csr_matrix:
        weights = self._vectors.transform(texts).tocsr()
        length = np.asarray(weights.sum(axis=1)).ravel()
        room = K1 * (1 - B + B * length / self._mean_length)
        per_entry = np.repeat(room, np.diff(weights.indptr))
        data = weights.data * (K1 + 1) / (weights.data + per_entry) * self._idf[weights.indices]
        return sparse.csr_matrix((data, weights.indices, weights.indptr), shape=weights.shape)


class Okapi:
    """BM25 on term counts as search engines use it (bm25s, Lucene's idf)."""

    name = "BM25 (Okapi)"

    def fit(self, texts: Sequence[str]) -> None:
        """Remembers `texts`: they join the responses in document frequencies and lengths."""
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
        # bm25s splits words by scikit-learn's default pattern, so its vocabulary fits here.
        counts = CountVectorizer(vocabulary=index.vocab_dict).transform(contexts)
        return counts.tocsr(), documents[len(self._texts) :]


def baselines() -> tuple[Baseline, ...]:
    """Returns a fresh set of all of them."""
    return TfIdf(), BM25(), Okapi()
