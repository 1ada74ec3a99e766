"""The choice of hard negatives equals that of sentence-transformers' `mine_hard_negatives`."""

import numpy as np
import pytest
import tf_keras

from rejoinder.retrieval.mining.select import Candidate, Pair, select_negatives

sentence_transformers = pytest.importorskip("sentence_transformers")
datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.parity

PAIRS, NEGATIVES = 40, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with random weights."""
    from rejoinder.models.sentence_encoder import SentenceEncoder
    from rejoinder.models.sentence_transformers import save_sentence_transformers
    from rejoinder.models.testing import tiny_config
    from rejoinder.trainer.data.testing import VOCABULARY, write_trainable_corpus

    folder = tmp_path_factory.mktemp("mining")
    corpus = write_trainable_corpus(folder / "corpus", pairs=10, shards=1)
    tf_keras.utils.set_random_seed(3)
    encoder = SentenceEncoder(tiny_config(VOCABULARY, initializer_range=0.5))
    save_sentence_transformers(folder / "model", encoder, corpus / "tokenizer", max_length=32)
    return sentence_transformers.SentenceTransformer(str(folder / "model"), device="cpu")


@pytest.mark.parametrize("share", [1.0, 0.95, 0.5])
def test_the_same_negatives_are_chosen(model, share):
    from sentence_transformers.util import mine_hard_negatives

    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghij"), rng.integers(1, 5))) for _ in range(60)]
    texts = [" ".join(rng.choice(words, rng.integers(3, 9))) for _ in range(2 * PAIRS)]
    contexts, responses = texts[:PAIRS], texts[PAIRS:]
    contexts[7] = contexts[3]  # two right responses to one context
    theirs = mine_hard_negatives(
        datasets.Dataset.from_dict({"anchor": contexts, "positive": responses}),
        model,
        relative_margin=1 - share,
        num_negatives=NEGATIVES,
        range_max=PAIRS - 2,
        output_format="labeled-list",
        verbose=False,
    )
    expected = {(row["anchor"], row["positive"][0]): row["positive"][1:] for row in theirs}

    scores = model.encode(contexts) @ model.encode(responses).T
    scores /= np.linalg.norm(model.encode(contexts), axis=1, keepdims=True)
    scores /= np.linalg.norm(model.encode(responses), axis=1)
    for row, (context, response) in enumerate(zip(contexts, responses, strict=True)):
        if row in (3, 7):  # theirs takes the lower score of the two right responses for both
            continue
        pair = Pair(float(scores[row, row]), [-1], [row], "", context)
        candidates = [
            Candidate(
                float(scores[row, other]), [int(other)], "", contexts[other], responses[other]
            )
            for other in np.argsort(-scores[row])
        ]
        chosen = select_negatives(pair, candidates, count=NEGATIVES, share=share)
        assert [one.text for one in chosen] == expected.get((context, response), [])
    assert len(expected) > PAIRS // 4
