import subprocess
import sys

import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError

from rejoinder.corpus import reading, tfrecord
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.errors import UserError


def _example(text: str, ids: list[int]) -> bytes:
    example = tf.train.Example()
    example.features.feature["context"].bytes_list.value.append(text.encode())
    example.features.feature["context_ids"].int64_list.value.extend(ids)
    return example.SerializeToString()


@pytest.fixture
def corpus(tmp_path):
    shards = []
    for index in range(2):
        data = tfrecord.frame(_example(f"é {index} {row}", [0, 300 + row, 2]) for row in range(3))
        name = f"train.tfrecord-0000{index}-of-00002"
        (tmp_path / name).write_bytes(data)
        shards.append(Shard(name, 3, len(data), ""))
    manifest = Manifest("demo", {"train": shards}, 128, "", 1, 1000, has_text=["train"])
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    (tmp_path / "COMPLETED").touch()
    return tmp_path


def test_examples_are_decoded_in_order(corpus):
    examples = list(reading.read_examples(str(corpus), "train"))
    assert [e["context"] for e in examples] == [
        f"é {i} {row}" for i in range(2) for row in range(3)
    ]
    assert examples[2] == {"context": "é 0 2", "context_ids": [0, 302, 2]}


def test_columns_are_read_in_batches(corpus):
    path = str(corpus / "train.tfrecord-00001-of-00002")
    batches = list(reading.read_columns(path, ["context", "context_ids"], 2))
    assert [r.texts(s["context"]) for r, s in batches] == [["é 1 0", "é 1 1"], ["é 1 2"]]
    values, splits = batches[1][0].ids(batches[1][1]["context_ids"])
    assert (values.tolist(), splits.tolist()) == ([0, 302, 2], [0, 3])


def test_an_empty_shard_has_no_batches(tmp_path):
    (tmp_path / "a").touch()
    assert list(reading.read_columns(str(tmp_path / "a"), ["context"], 2)) == []


@pytest.mark.parametrize(
    "read",
    [
        lambda folder, shard: list(reading.read_records(folder, shard)),
        lambda folder, shard: list(reading.read_columns(f"{folder}/{shard.name}", ["a"], 2)),
    ],
)
def test_damage_is_named_with_file_and_offset(corpus, read):
    shard = Shard("train.tfrecord-00000-of-00002", 3, 0, "")
    path = corpus / shard.name
    path.write_bytes(path.read_bytes()[:-3])
    message = r"train\.tfrecord-00000-of-00002: truncated at byte offset \d+; make the corpus again"
    with pytest.raises(UserError, match=message):
        read(str(corpus), shard)


def test_a_record_that_is_not_an_example_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(tfrecord.frame([b"text"]))
    with pytest.raises(UserError, match="a: an example has an unexpected field"):
        list(reading.read_columns(str(tmp_path / "a"), ["context"], 2))
    with pytest.raises(DecodeError):
        reading.decode(b"text")


def test_a_corpus_is_read_without_tensorflow(corpus):
    code = f"""
import sys
from rejoinder.corpus.manifest import load_manifest
from rejoinder.corpus.reading import read_examples
from rejoinder.corpus.texts import read_text
folder = {str(corpus)!r}
names = [shard.name for shard in load_manifest(folder).splits["train"]]
texts = [text for batch in read_text(folder, names, ["context"]) for text in batch["context"]]
assert texts == [example["context"] for example in read_examples(folder, "train")]
heavy = [name for name in ("tensorflow", "apache_beam", "fsspec") if name in sys.modules]
print(len(texts), heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "6 []"
