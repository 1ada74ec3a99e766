"""Training with earlier turns: ConveRT's three losses, and what a batch holds."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.errors import UserError
from rejoinder.trainer.config import LossOptions
from rejoinder.trainer.data.corpora import Corpus, check_extra_contexts
from rejoinder.trainer.data.inputs import sample_pairs
from rejoinder.trainer.data.layout import PackedLayout, PaddedLayout
from rejoinder.trainer.data.records import PairParts, Ragged, Turns, join_turns, read_shard
from rejoinder.trainer.data.sampler import Batch, DataSet
from rejoinder.trainer.encoding import split_pairs
from rejoinder.trainer.loss import contrastive_loss
from rejoinder.trainer.multi_context import pair_loss

SCALE = 20.0


def ragged(*rows):
    splits = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return Ragged(np.array([value for row in rows for value in row], np.int32), splits)


def rows(texts: Ragged) -> list[list[int]]:
    return [part.tolist() for part in np.split(texts.values, texts.splits[1:-1])]


FIRST = ragged([0, 10, 11, 2], [0, 20, 2], [], [0, 30, 31, 32, 33, 34, 2])
SECOND = ragged([0, 12, 2], [], [], [0, 35, 2])


@pytest.mark.parametrize(
    ("max_length", "expected"),
    [
        (9, [[0, 10, 11, 12, 2], [0, 20, 2], [], [0, 30, 31, 32, 33, 34, 35, 2]]),
        (4, [[0, 10, 11, 2], [0, 20, 2], [], [0, 30, 31, 2]]),
        (3, [[0, 10, 2], [0, 20, 2], [], [0, 30, 2]]),
    ],
)
def test_earlier_turns_are_one_text_nearest_first(max_length, expected):
    assert rows(join_turns([FIRST, SECOND], max_length)) == expected


def write_shard(folder, pairs: list[dict[str, list[int]]]) -> Shard:
    path = folder / "train.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for pair in pairs:
            lists = {
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=ids))
                for name, ids in pair.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=lists))
            writer.write(example.SerializeToString(deterministic=True))
    data = path.read_bytes()
    return Shard(path.name, len(pairs), len(data), hashlib.sha256(data).hexdigest())


PAIRS = [
    {"context_ids": [0, 5, 2], "response_ids": [0, 6, 2], "context_ids/0": [0, 7, 2]},
    {"context_ids": [0, 8, 2], "response_ids": [0, 9, 10, 2]},
    {
        "context_ids": [0, 11, 2],
        "response_ids": [0, 12, 2],
        "context_ids/0": [0, 13, 2],
        "context_ids/1": [0, 14, 15, 2],
    },
]


def test_a_pair_without_earlier_turns_has_its_context_in_their_place(tmp_path):
    shard = write_shard(tmp_path, PAIRS)
    pairs = read_shard(str(tmp_path), shard, PairParts(turns=Turns(2, 8)))
    assert rows(pairs.earlier[0]) == [[0, 7, 2], [0, 8, 2], [0, 13, 14, 15, 2]]
    assert pairs.lengths.tolist() == [9, 10, 11]
    assert rows(pairs.take(np.array([2, 0])).earlier[0]) == [[0, 13, 14, 15, 2], [0, 7, 2]]
    one = read_shard(str(tmp_path), shard, PairParts(turns=Turns(1, 8)))
    assert rows(one.earlier[0])[2] == [0, 13, 2]
    assert read_shard(str(tmp_path), shard).earlier == ()


def test_the_sample_that_decides_the_number_of_rows_has_earlier_turns(tmp_path):
    shard = write_shard(tmp_path, PAIRS)
    manifest = Manifest("a", {"train": [shard]}, 8, "f", 1, 50, [], options={"context_ids": 2})
    corpus = Corpus(DataSet("a", str(tmp_path), (shard,)), 1, manifest)
    assert sample_pairs(corpus, PairParts(turns=Turns(2, 8))).lengths.tolist() == [9, 10, 11]


@pytest.mark.parametrize("layout", [PackedLayout(1, 16, [4], 8, 1), PaddedLayout(1, [8], 1)])
def test_the_rows_of_a_batch_hold_contexts_responses_and_earlier_turns(tmp_path, layout):
    pairs = read_shard(str(tmp_path), write_shard(tmp_path, PAIRS), PairParts(turns=Turns(2, 8)))
    made = layout.arrange(Batch(pairs, np.zeros(3, np.int32)))
    (features,) = made.replicas
    assert made.tokens == pairs.lengths.sum()
    ids = features["token_ids"]
    # As embedding of a sentence: the sum of its ids.
    if "slots" in features:
        numbers = np.arange(1, layout.max_segments + 1)[:, np.newaxis]
        members = features["segment_ids"][:, np.newaxis] == numbers
        segments = (members * ids[:, np.newaxis]).sum(-1)[..., np.newaxis]
    else:
        segments = np.where(ids == 1, 0, ids).sum(-1)[:, np.newaxis, np.newaxis]
    columns = split_pairs(tf.constant(segments), {k: tf.constant(v) for k, v in features.items()})
    found = [column[:, 0].numpy().tolist() for column in columns]
    expected = [[sum(row) for row in rows(texts)] for texts in pairs.sentences]
    assert found == expected
    assert len(found) == 3


def unit(rng, *shape):
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def keys(*values: int) -> tf.Tensor:
    return tf.constant(np.repeat(np.array(values, np.int32)[:, np.newaxis], 2, 1))


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_loss_is_the_mean_of_last_turn_earlier_turns_and_both(symmetric):
    context, response, earlier = unit(np.random.default_rng(0), 3, 4, 8)
    features = {
        "context_key": keys(1, 2, 3, 4),
        "response_key": keys(5, 6, 7, 8),
        "earlier_key": keys(9, 9, 7, 4),  # equal turns; a response; the context itself
    }
    options = LossOptions(symmetric=symmetric, extra_contexts=1)
    columns = [tf.constant(one) for one in (context, response, earlier)]
    found = pair_loss(columns, SCALE, features, options)
    both = (context + earlier) / np.linalg.norm(context + earlier, axis=-1, keepdims=True)
    of_earlier = features | {"context_key": features["earlier_key"]}
    parts = [
        contrastive_loss(tf.constant(rows), columns[1], SCALE, chosen, options)
        for rows, chosen in ((context, features), (earlier, of_earlier), (both, features))
    ]
    np.testing.assert_allclose(
        found.per_pair, np.mean([part.per_pair for part in parts], axis=0), rtol=1e-5
    )
    np.testing.assert_allclose(found.loss, np.mean([part.loss for part in parts]), rtol=1e-5)
    np.testing.assert_array_equal(found.correct, parts[2].correct)


def test_without_earlier_turns_the_loss_is_that_of_the_last_turn():
    context, response = map(tf.constant, unit(np.random.default_rng(1), 2, 4, 8))
    features = {"context_key": keys(1, 2, 3, 4), "response_key": keys(5, 6, 7, 8)}
    found = pair_loss((context, response), SCALE, features, LossOptions())
    plain = contrastive_loss(context, response, SCALE, features, LossOptions())
    np.testing.assert_array_equal(found.per_pair, plain.per_pair)


def test_a_corpus_with_fewer_earlier_turns_is_refused():
    manifest = Manifest("a", {}, 8, "f", 1, 50, [], options={"context_ids": 2})
    corpora = [Corpus(DataSet("a", "folder/a", ()), 1, manifest)]
    check_extra_contexts(corpora, 2)
    with pytest.raises(UserError, match=r"extra_contexts: 3, but folder/a has token .* of 2;.*3`$"):
        check_extra_contexts(corpora, 3)
