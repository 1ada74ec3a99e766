"""Columns of a row's own thread are no negatives of the row."""

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.corpus import features as names
from rejoinder.corpus.manifest import Shard
from rejoinder.errors import UserError
from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.data.corpora import check_threads
from rejoinder.trainer.data.layout import PackedLayout, PaddedLayout
from rejoinder.trainer.data.records import PairParts, Pairs, read_shard
from rejoinder.trainer.data.sampler import Batch
from rejoinder.trainer.data.testing import serialize
from rejoinder.trainer.loss import contrastive_loss

PAIRS, SCALE = 5, 20.0


def unit(rng, *shape):
    vectors = rng.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def loss_of(vectors, threads, data_set=(0, 0, 0, 0, 0), **options):
    keys = np.repeat(np.arange(1, 1 + 2 * PAIRS, dtype=np.int32)[:, np.newaxis], 2, 1)
    features = {
        "context_key": keys[:PAIRS],
        "response_key": keys[PAIRS:],
        "thread_key": np.asarray(threads, np.int32),
        "data_set": np.asarray(data_set, np.int32),
    }
    features = {name: tf.constant(value) for name, value in features.items()}
    context, response = map(tf.constant, vectors)
    options = LossOptions(mask_threads=True, **options)
    return contrastive_loss(context, response, SCALE, features, options).per_pair


def expected(vectors, removed=()):
    """Mean cross entropy of both directions, without the pairs of rows in `removed`."""
    scores, losses = SCALE * vectors[0] @ vectors[1].T, np.zeros(PAIRS)
    for row in range(PAIRS):
        kept = [c for c in range(PAIRS) if (row, c) not in removed and (c, row) not in removed]
        for own in (scores[row], scores[:, row]):
            losses[row] += (np.log(np.sum(np.exp(own[kept]))) - own[row]) / 2
    return losses


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(0), 2, PAIRS, 8)


def test_columns_of_the_same_thread_are_removed_in_both_directions(vectors):
    threads = [[1, 2], [1, 3], [1, 2], [4, 2], [1, 2]]
    found = loss_of(vectors, threads)
    np.testing.assert_allclose(
        found, expected(vectors, {(0, 2), (0, 4), (2, 4)}), rtol=1e-5, atol=1e-6
    )


def test_pairs_without_a_thread_stay_negatives_of_each_other(vectors):
    found = loss_of(vectors, np.zeros((PAIRS, 2)))
    np.testing.assert_allclose(found, expected(vectors), rtol=1e-5, atol=1e-6)


def test_half_of_a_key_may_be_zero(vectors):
    found = loss_of(vectors, [[0, 2], [1, 0], [0, 2], [0, 0], [0, 0]])
    np.testing.assert_allclose(found, expected(vectors, {(0, 2)}), rtol=1e-5, atol=1e-6)


def test_equal_names_in_two_data_sets_are_different_threads(vectors):
    found = loss_of(vectors, np.ones((PAIRS, 2)), data_set=[0, 1, 0, 2, 1])
    np.testing.assert_allclose(found, expected(vectors, {(0, 2), (1, 4)}), rtol=1e-5, atol=1e-6)


def write_shard(folder, threads):
    """Writes one pair for each name of a thread, or None."""
    path = folder / "train.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, thread in enumerate(threads):
            record = serialize([0, 10 + number, 2], [0, 50 + number, 2])
            example = tf.train.Example.FromString(record)
            if thread is not None:
                example.features.feature[names.THREAD_ID].bytes_list.value.append(thread.encode())
            writer.write(example.SerializeToString())
    return Shard(path.name, len(threads), path.stat().st_size, "")


@pytest.mark.parametrize(
    "layout", [PackedLayout(2, 16, [4], 8, 1), PaddedLayout(2, [8], 1)], ids=["packed", "padded"]
)
def test_the_thread_of_a_pair_reaches_the_loss_in_each_layout(tmp_path, layout):
    shard = write_shard(tmp_path, ["t", "picture", None, "t"])
    pairs = read_shard(str(tmp_path), shard, PairParts(threads=True))
    batch = Batch(Pairs.concatenate([pairs, pairs]), np.zeros(8, np.int32))
    keys = {}
    for features in layout.arrange(batch).replicas:
        for text, key in zip(features["context_key"], features["thread_key"], strict=True):
            keys.setdefault(tuple(text), set()).add(tuple(key.tolist()))
    first, second, third, fourth = (
        keys[tuple(key)] for key in pairs.context.keys().view(np.int32).reshape(-1, 2)
    )
    assert first == fourth != second
    assert third == {(0, 0)}
    assert len(first) == len(second) == 1
    assert "thread_key" not in read_shard(str(tmp_path), shard).extra


def test_corpora_without_any_thread_are_refused(tmp_path):
    with_threads = read_shard(
        str(tmp_path), write_shard(tmp_path, ["t", None]), PairParts(threads=True)
    )
    without = read_shard(str(tmp_path), write_shard(tmp_path, [None]), PairParts(threads=True))
    check_threads([without, with_threads])
    with pytest.raises(UserError, match=r"mask_threads: .* no corpus .*rejoinder pairs --linked"):
        check_threads([without, without])
