"""The columns of hard negatives, against the definition of the softmax in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.errors import UserError
from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.data.corpora import Corpus, check_mined
from rejoinder.trainer.data.layout import PackedLayout, PaddedLayout
from rejoinder.trainer.data.records import PairParts, Pairs, Ragged, read_shard
from rejoinder.trainer.data.sampler import Batch, DataSet
from rejoinder.trainer.data.testing import write_corpus
from rejoinder.trainer.loss import contrastive_loss

PAIRS, COLUMNS, WIDTH, SCALE = 5, 2, 8, 20.0
KEYS = np.arange(1, 1 + PAIRS * (2 + COLUMNS))


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture
def batch():
    """Embeddings of pairs and of their negatives, and keys that are all different."""
    rng = np.random.default_rng(0)
    vectors = unit(rng, 2 + COLUMNS, PAIRS, WIDTH)
    keys = KEYS.reshape(2 + COLUMNS, PAIRS).copy()
    return vectors, keys


def features_of(keys):
    both = np.repeat(keys[..., np.newaxis], 2, -1).astype(np.int32)
    context, response, *negatives = both
    return {
        "context_key": tf.constant(context),
        "response_key": tf.constant(response),
        "negative_key": tf.constant(np.stack(negatives, 1)),
    }


def loss_of(batch, **options):
    vectors, keys = batch
    context, response, *negatives = map(tf.constant, vectors.astype(np.float32))
    chosen = LossOptions(symmetric=False, hard_negatives=COLUMNS, **options)
    return contrastive_loss(context, response, SCALE, features_of(keys), chosen, negatives)


def expected(vectors, removed=()):
    """Cross entropy of each context with the given (row, column, negative) left out."""
    context, response, *negatives = vectors
    losses = []
    for row in range(PAIRS):
        scores = [SCALE * context[row] @ response[other] for other in range(PAIRS)]
        for other in range(PAIRS):
            for column in range(COLUMNS):
                if (row, other, column) not in removed:
                    scores.append(SCALE * context[row] @ negatives[column][other])
        losses.append(np.log(np.sum(np.exp(scores))) - scores[row])
    return np.array(losses)


ALL_OF_OTHERS = {
    (row, other, column)
    for row in range(PAIRS)
    for other in range(PAIRS)
    for column in range(COLUMNS)
    if row != other
}


def test_gathered_negatives_are_columns_of_every_context(batch):
    np.testing.assert_allclose(loss_of(batch).per_pair, expected(batch[0]), rtol=1e-5)


def test_own_negatives_are_columns_of_their_own_context(batch):
    found = loss_of(batch, gather_negatives=False)
    np.testing.assert_allclose(found.per_pair, expected(batch[0], ALL_OF_OTHERS), rtol=1e-5)


@pytest.mark.parametrize("gather", [True, False])
def test_a_missing_negative_is_no_column(batch, gather):
    vectors, keys = batch
    keys[2 + 1, 3] = 0  # the second negative of pair 3
    removed = {(row, 3, 1) for row in range(PAIRS)} | (set() if gather else ALL_OF_OTHERS)
    found = loss_of(batch, gather_negatives=gather)
    np.testing.assert_allclose(found.per_pair, expected(vectors, removed), rtol=1e-5)


def test_a_negative_that_is_a_text_of_the_row_is_no_column_of_that_row(batch):
    vectors, keys = batch
    keys[2, 0] = keys[1, 4]  # the first negative of pair 0 is the response of pair 4
    keys[3, 1] = keys[0, 2]  # the second negative of pair 1 is the context of pair 2
    removed = {(4, 0, 0), (2, 1, 1)}
    np.testing.assert_allclose(loss_of(batch).per_pair, expected(vectors, removed), rtol=1e-5)
    kept = loss_of(batch, mask_duplicates=False)
    np.testing.assert_allclose(kept.per_pair, expected(vectors), rtol=1e-5)


def test_the_other_direction_has_no_negatives(batch):
    symmetric = loss_of(batch).per_pair
    vectors, keys = batch
    context, response, *negatives = map(tf.constant, vectors.astype(np.float32))
    options = LossOptions(hard_negatives=COLUMNS)
    both = contrastive_loss(context, response, SCALE, features_of(keys), options, negatives)
    backward = LossOptions(symmetric=False)
    plain = contrastive_loss(
        response, context, SCALE, features_of(keys[[1, 0]].repeat(2, 0)), backward
    )
    np.testing.assert_allclose(both.per_pair, (symmetric + plain.per_pair) / 2, rtol=1e-5)


def ragged(*rows):
    return Ragged(
        np.array([value for row in rows for value in row], np.int32),
        np.concatenate([[0], np.cumsum([len(row) for row in rows])]),
    )


@pytest.mark.parametrize(
    "layout", [PackedLayout(2, 16, [4], 8, 1), PaddedLayout(2, [8], 1)], ids=["packed", "padded"]
)
def test_layouts_place_negatives_behind_contexts_and_responses(layout):
    contexts, responses = ragged([0, 10, 2], [0, 11, 2]), ragged([0, 20, 2], [0, 21, 21, 2])
    pairs = Pairs(
        contexts, responses, negatives=(ragged([0, 30, 2], [0, 31, 2]), ragged([0, 40, 2], []))
    )
    replicas = layout.arrange(Batch(pairs, np.zeros(2, np.int32))).replicas
    sentences = []
    for features in replicas:
        if "slots" in features:
            own = [
                features["token_ids"][row][features["segment_ids"][row] == number + 1].tolist()
                for row, number in features["slots"]
            ]
        else:
            own = [[value for value in row if value != 1] for row in features["token_ids"].tolist()]
        sentences.append(own)
        assert features["negative_key"].shape == (1, 2, 2)
    with_none = [0, 11, 2], [0, 21, 21, 2], [0, 31, 2], [0]
    with_all = [0, 10, 2], [0, 20, 2], [0, 30, 2], [0, 40, 2]
    assert sorted(sentences) == sorted([list(with_none), list(with_all)])
    missing = [not features["negative_key"][0, 1].any() for features in replicas]
    assert sorted(missing) == [False, True]


def test_a_corpus_without_negatives_reads_as_one_that_lacks_all(tmp_path):
    from rejoinder.corpus.manifest import load_manifest

    folder = str(write_corpus(tmp_path / "corpus", pairs=8, shards=1))
    manifest = load_manifest(folder)
    (shard,) = manifest.splits["train"]
    pairs = read_shard(folder, shard, PairParts(negatives=2))
    assert [texts.lengths.tolist() for texts in pairs.negatives] == [[0] * 8] * 2
    corpora = [Corpus(DataSet("corpus", folder, (shard,)), 1, manifest)]
    check_mined(corpora, 0, guide=False)
    with pytest.raises(UserError, match=r"hard_negatives: 2, but .* has none; .*rejoinder mine"):
        check_mined(corpora, 2, guide=False)
    with pytest.raises(UserError, match=r"guide: .* has no vectors of a guide; .*--guide"):
        check_mined(corpora, 0, guide=True)
