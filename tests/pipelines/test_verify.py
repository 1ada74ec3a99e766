"""`verify` accepts what the job wrote and notices any change; `inspect` shows it."""

import json

import pytest

from corpus.errors import UserError
from pipelines import inspect, verify
from pipelines.testing import dialogue, ndjson


@pytest.fixture
def corpus(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(ndjson(dialogue(40)))
    return preprocess(tmp_path / "RC")


def test_a_fresh_corpus_is_whole(corpus, capsys):
    assert verify.main([str(corpus)]) == 0
    assert "whole (8 shards" in capsys.readouterr().out


def test_every_kind_of_damage_is_named(corpus):
    shard = next(p for p in sorted(corpus.glob("train.*")) if p.stat().st_size)
    whole = shard.read_bytes()

    def found() -> str:
        return "\n".join(verify.problems(str(corpus)))

    shard.write_bytes(whole[:-1])
    assert "truncated at byte offset" in found()
    assert "sha256 differs" in found()
    shard.write_bytes(whole[:40] + b"\0" + whole[41:])
    assert "wrong data checksum at byte offset 0" in found()
    shard.write_bytes(whole + whole)
    assert "examples, the manifest says" in found()
    shard.unlink()
    assert f"{shard.name}: missing" in found()
    shard.write_bytes(whole)
    (corpus / "train.tfrecord-00000-of-00009").write_bytes(b"")
    assert "is not in the manifest" in found()


def test_a_manifest_that_does_not_add_up_is_noticed(corpus):
    path = corpus / "manifest.json"
    values = json.loads(path.read_text())
    values["counters"]["pair/train"] += 1
    path.write_text(json.dumps(values))
    text = "\n".join(verify.problems(str(corpus)))
    assert "counters add up to 201, not 200" in text
    assert "examples in train" in text


def test_an_unfinished_corpus_is_refused(corpus):
    (corpus / "COMPLETED").unlink()
    with pytest.raises(UserError, match="no finished corpus"):
        verify.main([str(corpus)])


def test_damage_gives_exit_status_1(corpus, capsys):
    next(p for p in corpus.glob("train.*") if p.stat().st_size).write_bytes(b"")
    with pytest.raises(UserError, match="problems"):
        verify.main([str(corpus)])


def test_inspect_shows_figures_and_examples(corpus, capsys):
    assert inspect.main([str(corpus), "--split", "train", "--examples", "2"]) == 0
    text = capsys.readouterr().out
    assert "tokens of a context: mean" in text
    assert "this is the comment number" in text
    assert inspect.main([str(corpus), "--json", "--split", "train", "--examples", "3"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert {"context", "context_ids", "thread_id"} <= set(lines[0])
