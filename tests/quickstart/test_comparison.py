import pytest
import tensorflow as tf

from rejoinder.corpus.features import CONTEXT, RESPONSE, THREAD_ID
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import COMPLETED, MANIFEST, shard_name
from rejoinder.errors import UserError
from rejoinder.quickstart.comparison import texts_to_compare


def write_test_split(folder, pairs):
    """Writes a corpus whose test split holds `pairs` of (context, response, thread)."""
    name = shard_name("test", 0, 1)
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
        for pair in pairs:
            values = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
                for key, text in zip((CONTEXT, RESPONSE, THREAD_ID), pair, strict=True)
            }
            example = tf.train.Example(features=tf.train.Features(feature=values))
            writer.write(example.SerializeToString())
    manifest = Manifest(
        name="corpus",
        splits={"test": [Shard(name, len(pairs), (folder / name).stat().st_size, "")]},
        max_length=16,
        tokenizer="",
        pad_id=1,
        vocab_size=10,
        has_text=["test"],
    )
    (folder / MANIFEST).write_text(manifest.to_json())
    (folder / COMPLETED).touch()
    return str(folder)


def test_the_third_text_is_a_response_from_another_thread(tmp_path):
    pairs = [("c1", "r1", "t1"), ("c2", "r2", "t1"), ("c3", "r3", "t2")]
    assert texts_to_compare(write_test_split(tmp_path, pairs)) == ["c1", "r1", "r3"]


def test_a_single_thread_gives_two_texts(tmp_path):
    pairs = [("c1", "r1", "t1"), ("c2", "r2", "t1")]
    assert texts_to_compare(write_test_split(tmp_path, pairs)) == ["c1", "r1"]


def test_a_folder_without_a_corpus_is_an_error(tmp_path):
    with pytest.raises(UserError, match="corpus is not finished"):
        texts_to_compare(str(tmp_path))
