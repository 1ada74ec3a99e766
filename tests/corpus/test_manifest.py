import dataclasses

import pytest

from rejoinder.corpus.manifest import Manifest, Shard, load_manifest
from rejoinder.errors import UserError

MANIFEST = Manifest(
    name="reddit",
    splits={
        "train": [
            Shard("train.tfrecord-00000-of-00002", 3, 120, "aa"),
            Shard("train.tfrecord-00001-of-00002", 4, 160, "bb"),
        ],
        "test": [Shard("test.tfrecord-00000-of-00001", 1, 50, "cc")],
    },
    max_length=128,
    tokenizer="dd",
    pad_id=1,
    vocab_size=30527,
    has_text=["test"],
    counters={"kept": 8},
)


def test_a_manifest_reads_back_as_it_was_written():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_examples_are_summed_over_the_shards_of_a_split():
    assert MANIFEST.examples("train") == 7
    assert MANIFEST.examples("validation") == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format_version": 1}', "null"])
def test_other_text_is_refused_with_the_name_of_the_file(text):
    with pytest.raises(UserError, match=r"out/manifest\.json"):
        Manifest.from_json(text, source="out/manifest.json")


def test_a_newer_format_is_refused():
    newer = dataclasses.replace(MANIFEST, format_version=99)
    with pytest.raises(UserError, match="format_version is 99"):
        Manifest.from_json(newer.to_json())


def test_a_folder_without_completed_is_not_a_corpus(tmp_path):
    (tmp_path / "manifest.json").write_text(MANIFEST.to_json())
    with pytest.raises(UserError, match="is not finished"):
        load_manifest(str(tmp_path))
    (tmp_path / "COMPLETED").touch()
    assert load_manifest(str(tmp_path)) == MANIFEST


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_manifest(str(tmp_path / "nowhere"))
