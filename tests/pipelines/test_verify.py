"""`verify` accepts what the job wrote and notices any change; `inspect` shows it."""

import json
import subprocess

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines import inspect, verify
from rejoinder.pipelines.testing import dialogue, ndjson


@pytest.fixture
def corpus(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(ndjson(dialogue(40)))
    return preprocess(tmp_path / "RC")


def test_a_fresh_corpus_is_whole(corpus, capsys):
    assert verify.main([str(corpus)]) == 0
    assert "whole (8 shards" in capsys.readouterr().out


def problems(corpus) -> str:
    return "\n".join(verify.problems(str(corpus)))


@pytest.fixture
def shard(corpus):
    return next(p for p in sorted(corpus.glob("train.*")) if p.stat().st_size)


def test_a_shard_that_lost_its_end(corpus, shard):
    shard.write_bytes(shard.read_bytes()[:-1])
    assert f"{shard.name}: truncated at byte offset" in problems(corpus)
    assert f"{shard.name}: sha256 differs" in problems(corpus)


def test_any_flipped_byte_of_a_shard(corpus, shard):
    whole = shard.read_bytes()
    for position in (0, 9, 40, len(whole) // 2, len(whole) - 1):
        shard.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert "checksum at byte offset" in problems(corpus)
        assert f"{shard.name}: sha256 differs from the manifest's" in problems(corpus)


def test_examples_that_were_added(corpus, shard):
    shard.write_bytes(shard.read_bytes() * 2)
    assert "examples, the manifest says" in problems(corpus)


def test_a_shard_that_is_missing_or_too_many(corpus, shard):
    whole = shard.read_bytes()
    shard.unlink()
    assert problems(corpus) == f"{shard.name}: missing"
    shard.write_bytes(whole)
    (corpus / "train.tfrecord-00000-of-00009").write_bytes(whole)
    assert problems(corpus) == "train.tfrecord-00000-of-00009: is not in the manifest"


def test_shards_that_changed_places(corpus):
    one, two = sorted(corpus.glob("train.*"))[:2]
    one_bytes, two_bytes = one.read_bytes(), two.read_bytes()
    assert one_bytes != two_bytes
    one.write_bytes(two_bytes)
    two.write_bytes(one_bytes)
    for name in (one.name, two.name):
        assert f"{name}: sha256 differs" in problems(corpus)


def edit(corpus, change) -> None:
    path = corpus / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


EDITS = {
    "options": lambda m: m["options"].update(min_chars=1),
    "inputs": lambda m: m["inputs"][0].update(sha256="0" * 64),
    "tokenizer": lambda m: m.update(tokenizer="0" * 64),
    "a counter moved to another": lambda m: m["counters"].update(
        {"blank_line": 1, "no_pair/top_level": m["counters"]["no_pair/top_level"] - 1}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", EDITS)
def test_a_manifest_that_was_edited(corpus, what):
    edit(corpus, EDITS[what])
    assert problems(corpus) == "manifest.json: sha256 differs from that in COMPLETED"


def test_a_manifest_that_contradicts_the_shards(corpus, shard):
    edit(corpus, lambda m: m["splits"]["train"][0].update(examples=7_000, bytes=5, sha256="0"))
    for expected in ("the manifest says 7000", "the manifest says 5", "sha256 differs"):
        assert expected in problems(corpus)
    edit(corpus, lambda m: m.update(max_length=3, vocab_size=5))
    assert "must have 1 to 3" in problems(corpus)


def test_a_manifest_that_does_not_add_up(corpus):
    edit(corpus, lambda m: m["counters"].update({"pair/train": 1}))
    assert "manifest.json: counters add up to" in problems(corpus)
    assert "examples in train, 1 counted" in problems(corpus)


def test_a_manifest_that_is_none(corpus):
    (corpus / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json: not a corpus manifest"):
        problems(corpus)


@pytest.mark.parametrize(
    "name",
    [
        "report.json",
        "features.json",
        "dataset_info.json",
        "tokenizer/tokenizer.json",
        "rejects/rejects.ndjson",
    ],
)
def test_every_other_file_is_checked_too(corpus, name):
    (corpus / name).write_text("{}")
    assert problems(corpus) == f"{name}: sha256 differs from that in COMPLETED"
    (corpus / name).unlink()
    assert problems(corpus) == f"{name}: missing"


def test_coreutils_can_check_a_corpus(corpus):
    def check() -> subprocess.CompletedProcess:
        command = ["sha256sum", "--check", "--strict", "COMPLETED"]
        return subprocess.run(command, cwd=corpus, capture_output=True, text=True, check=False)

    assert check().returncode == 0
    listed = {line.split(":")[0] for line in check().stdout.splitlines()}
    files = {str(p.relative_to(corpus)) for p in corpus.rglob("*") if p.is_file()}
    assert listed == files - {"COMPLETED"}
    (corpus / "report.json").write_text("{}")
    assert check().returncode == 1


def test_an_unfinished_corpus_is_refused(corpus):
    (corpus / "COMPLETED").unlink()
    with pytest.raises(UserError, match="corpus is not finished"):
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
