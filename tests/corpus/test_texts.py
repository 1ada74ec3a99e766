import json

import pytest
import tensorflow as tf

from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.texts import read_text, require_text
from rejoinder.errors import UserError


def _example(**texts):
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
        for name, text in texts.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _write(path, examples):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            writer.write(example)


def test_columns_come_back_in_file_order_and_in_batches(tmp_path):
    _write(tmp_path / "a", [_example(context=f"c{i} é", response=f"r{i}") for i in range(5)])
    _write(tmp_path / "b", [_example(context="last", response="one")])
    batches = list(read_text(str(tmp_path), ["b", "a"], batch_size=4))
    assert [len(batch["context"]) for batch in batches] == [4, 2]
    contexts = [text for batch in batches for text in batch["context"]]
    assert contexts == ["last", "c0 é", "c1 é", "c2 é", "c3 é", "c4 é"]


def test_a_feature_that_an_example_lacks_reads_as_empty(tmp_path):
    _write(tmp_path / "a", [_example(context="c", response="r")])
    (batch,) = read_text(str(tmp_path), ["a"], ["context", "subreddit"])
    assert batch == {"context": ["c"], "subreddit": [""]}


@pytest.fixture
def corpus(tmp_path):
    shards = {"train": [Shard("x", 1, 1, "")], "test": [Shard("y", 1, 1, "")]}
    manifest = Manifest("demo", shards, 128, "", 1, 10, has_text=["test"])
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    (tmp_path / "COMPLETED").touch()
    return str(tmp_path)


def test_a_split_with_text_gives_its_manifest(corpus):
    assert require_text(corpus, "test").name == "demo"


def test_a_split_without_text_is_refused_with_the_command_for_it(corpus):
    with pytest.raises(UserError, match=r"train split carries no text.*--keep-text"):
        require_text(corpus, "train")


def test_an_unknown_split_is_refused_with_the_existing_ones(corpus):
    with pytest.raises(UserError, match=r"no dev split \(it has: test, train\)"):
        require_text(corpus, "dev")


def test_an_unfinished_corpus_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match="is not finished"):
        require_text(str(tmp_path), "test")
