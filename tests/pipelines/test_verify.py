"""`rejoinder verify` accepts what the job wrote and finds every change."""

import json
import subprocess

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines import verify
from rejoinder.pipelines.testing import dialogue, ndjson


@pytest.fixture
def corpus(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(ndjson(dialogue(40)))
    return preprocess(tmp_path / "RC")


def test_a_new_corpus_has_no_problems(corpus, capsys):
    assert verify.main([f"{corpus}/"]) == 0
    verified, *following = capsys.readouterr().out.splitlines()
    assert verified.startswith(f"{corpus}: verified, 8 shards, pairs: ")
    assert following == [
        f"next: rejoinder inspect {corpus}",
        f"      rejoinder train --config CONFIG --corpus {corpus} --model-dir DIR",
    ]


def problems(corpus) -> str:
    return "\n".join(verify.problems(str(corpus)))


@pytest.fixture
def shard(corpus):
    return next(p for p in sorted(corpus.glob("train.*")) if p.stat().st_size)


def test_a_truncated_shard_is_found(corpus, shard):
    shard.write_bytes(shard.read_bytes()[:-1])
    assert f"{shard.name}: truncated at byte offset" in problems(corpus)
    assert f"{shard.name}: sha256 differs" in problems(corpus)


def test_a_changed_byte_of_a_shard_is_found(corpus, shard):
    whole = shard.read_bytes()
    for position in (0, 9, 40, len(whole) // 2, len(whole) - 1):
        shard.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert "checksum at byte offset" in problems(corpus)
        assert f"{shard.name}: sha256 differs from the manifest's" in problems(corpus)


def test_added_examples_are_found(corpus, shard):
    shard.write_bytes(shard.read_bytes() * 2)
    assert "examples, the manifest says" in problems(corpus)


def test_a_missing_and_an_additional_shard_are_found(corpus, shard):
    whole = shard.read_bytes()
    shard.unlink()
    assert problems(corpus) == f"{shard.name}: missing"
    shard.write_bytes(whole)
    (corpus / "train.tfrecord-00000-of-00009").write_bytes(whole)
    assert problems(corpus) == "train.tfrecord-00000-of-00009: is not in the manifest"


def test_exchanged_shards_are_found(corpus):
    one, two = sorted(corpus.glob("train.*"))[:2]
    one_bytes, two_bytes = one.read_bytes(), two.read_bytes()
    assert one_bytes != two_bytes
    one.write_bytes(two_bytes)
    two.write_bytes(one_bytes)
    for name in (one.name, two.name):
        assert f"{name}: sha256 differs" in problems(corpus)


def test_several_workers_find_the_same_problems_in_the_same_order(corpus, capsys):
    shards = sorted(corpus.glob("*.tfrecord-*"))
    for shard in shards[1::2]:
        shard.write_bytes(shard.read_bytes()[:-3])
    shards[0].unlink()
    expected = list(verify.problems(str(corpus)))
    assert len(expected) > 4
    assert list(verify.problems(str(corpus), workers=2)) == expected
    with pytest.raises(UserError, match=f"has {len(expected)} problems, listed above"):
        verify.main([str(corpus)])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == expected
    assert printed.err.startswith("--workers auto: 1 process, because the input is small (")


def test_a_number_of_workers_below_one_is_an_error(corpus):
    with pytest.raises(UserError, match="--workers: must be at least 1, got 0"):
        verify.main([str(corpus), "--workers", "0"])


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
def test_an_edited_manifest_is_found(corpus, what):
    edit(corpus, EDITS[what])
    assert problems(corpus) == "manifest.json: sha256 differs from that in COMPLETED"


def test_a_manifest_that_contradicts_the_shards_is_found(corpus, shard):
    edit(corpus, lambda m: m["splits"]["train"][0].update(examples=7_000, bytes=5, sha256="0"))
    for expected in ("the manifest says 7000", "the manifest says 5", "sha256 differs"):
        assert expected in problems(corpus)
    edit(corpus, lambda m: m.update(max_length=3, vocab_size=5))
    assert "must have 1 to 3" in problems(corpus)


def test_counters_that_do_not_add_up_are_found(corpus):
    edit(corpus, lambda m: m["counters"].update({"pair/train": 1}))
    assert "manifest.json: counters add up to" in problems(corpus)
    assert "examples in train, 1 counted" in problems(corpus)


def test_a_manifest_that_cannot_be_read_is_an_error(corpus):
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
def test_every_other_file_is_compared_with_its_checksum(corpus, name):
    (corpus / name).write_text("{}")
    assert problems(corpus) == f"{name}: sha256 differs from that in COMPLETED"
    (corpus / name).unlink()
    assert problems(corpus) == f"{name}: missing"


def test_sha256sum_can_verify_a_corpus(corpus):
    def check() -> subprocess.CompletedProcess:
        command = ["sha256sum", "--check", "--strict", "COMPLETED"]
        return subprocess.run(command, cwd=corpus, capture_output=True, text=True, check=False)

    assert check().returncode == 0
    listed = {line.split(":")[0] for line in check().stdout.splitlines()}
    files = {str(p.relative_to(corpus)) for p in corpus.rglob("*") if p.is_file()}
    assert listed == files - {"COMPLETED"}
    (corpus / "report.json").write_text("{}")
    assert check().returncode == 1


def test_an_unfinished_corpus_is_an_error(corpus):
    (corpus / "COMPLETED").unlink()
    with pytest.raises(UserError, match="corpus is not finished"):
        verify.main([str(corpus)])


def test_a_damaged_corpus_is_an_error_after_the_list_of_problems(corpus, shard, capsys):
    shard.unlink()
    with pytest.raises(UserError, match=r"has 1 problem, listed above; make the corpus again"):
        verify.main([str(corpus)])
    assert capsys.readouterr().out == f"{shard.name}: missing\n"
    shard.write_bytes(b"")
    with pytest.raises(UserError, match=r"has 3 problems, listed above"):
        verify.main([str(corpus)])
