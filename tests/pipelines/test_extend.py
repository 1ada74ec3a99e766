"""A corpus that grows month by month equals one run over all months, pair by pair."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from rejoinder import publishing
from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines import inspect, preprocess, verify
from rejoinder.pipelines.growth.spec import newest_month
from rejoinder.pipelines.testing import comment, ndjson

MONTH_SECONDS = 31 * 86_400


def chains(months: int, threads: int = 6, per_month: int = 4) -> list[list[dict]]:
    """Returns comments by month; each answers the previous one of its thread, in any month."""
    found: list[list[dict]] = [[] for _ in range(months)]
    for thread in range(threads):
        parent = None
        for month in range(months):
            for index in range(per_month):
                number = 1000 * thread + 10 * month + index
                time_ = 1_420_070_400 + month * MONTH_SECONDS + number
                made = comment(number, parent, thread=f"t{thread}", created_utc=time_)
                if number % 11 == 7:
                    made["body"] = "[deleted]"
                found[month].append(made)
                parent = f"c{number}"
    return found


@pytest.fixture
def grow(tmp_path, preprocess):
    """Returns a function that makes a corpus from lists of lines, one run each."""

    def run(runs: list[list], output: str = "corpus", arguments=("--keep-months", "6")) -> Path:
        for number, lines in enumerate(runs):
            dump = tmp_path / f"RC_{output}_{number}"
            dump.write_bytes(ndjson(lines))
            if number == 0:
                folder = preprocess(dump, output=output, arguments=arguments)
            else:
                extend(folder, dump)
        return folder

    return run


def extend(folder: Path, *inputs: Path) -> None:
    preprocess.main(["--extend", str(folder), "--input", *map(str, inputs), "--quiet"])


def pairs(folder: Path) -> Counter[str]:
    return Counter(
        json.dumps([split, example], sort_keys=True)
        for split in ("train", "test")
        for example in reading.read_examples(str(folder), split)
    )


def test_months_added_one_by_one_in_any_order_equal_one_run(grow, capsys):
    order = (2, 0, 1)
    months = chains(3)
    one = grow([list(itertools.chain(*months))], "one")
    grown = grow([months[i] for i in order])
    assert pairs(grown) == pairs(one)
    found, expected = load_manifest(str(grown)), load_manifest(str(one))
    assert found.counters == expected.counters
    assert found.state == expected.state | {"files": found.state["files"]}
    assert [len(entry["inputs"]) for entry in found.generations] == [1, 1, 1]
    assert list(verify.problems(str(grown))) == []
    report = [json.loads((folder / "report.json").read_bytes()) for folder in (grown, one)]
    assert report[0] | {"name": ""} == report[1] | {"name": ""}
    names = json.loads((grown / "dataset_info.json").read_bytes())["splits"]
    assert [len(split["shardLengths"]) for split in names] == [12, 12]
    inspect.main([str(grown), "--split", "train", "--json", "--examples", "1000"])
    assert len(capsys.readouterr().out.splitlines()) == found.examples("train")


def test_the_shards_of_earlier_months_are_not_written_again(grow, tmp_path):
    months = chains(2)
    corpus = grow(months[:1])
    before = {
        shard.sha256: (corpus / shard.name).stat().st_ino
        for shard in load_manifest(str(corpus)).splits["train"]
        if shard.examples
    }
    (tmp_path / "RC_next").write_bytes(ndjson(months[1]))
    extend(corpus, tmp_path / "RC_next")
    after = {
        shard.sha256: (corpus / shard.name).stat().st_ino
        for shard in load_manifest(str(corpus)).splits["train"]
    }
    assert before
    assert before.items() <= after.items()


def test_of_equal_ids_the_copy_in_the_corpus_counts(grow):
    first = [comment(1), comment(2, "c1", body="the first copy of a reply")]
    again = [comment(2, "c1", body="the other copy of a reply"), comment(3, "c2")]
    corpus = grow([first, again])
    manifest = load_manifest(str(corpus))
    assert manifest.counters["duplicate_id"] == 1
    texts = Counter(
        e["response"] for s in ("train", "test") for e in reading.read_examples(str(corpus), s)
    )
    assert texts == {"the first copy of a reply": 1, "this is the comment number 3": 1}


def test_equal_pairs_of_other_months_are_dropped(grow):
    def month(number: int) -> list[dict]:
        return [
            comment(number, body="one question", thread=f"t{number}"),
            comment(number + 1, f"c{number}", body="one answer", thread=f"t{number}"),
        ]

    corpus = grow(
        [month(50), month(20), month(90)], arguments=["--keep-months", "2", "--drop-duplicates"]
    )
    counters = load_manifest(str(corpus)).counters
    assert counters["duplicate_pair"] == 2
    assert counters["pair/train"] + counters["pair/test"] == 1


@pytest.mark.e2e
def test_extra_contexts_of_earlier_months_are_found(grow):
    months = chains(2)
    arguments = ["--keep-months", "2", "--extra-contexts", "3"]
    one = grow([list(itertools.chain(*months))], "one", arguments)
    assert pairs(grow(months, arguments=arguments)) == pairs(one)


@pytest.mark.e2e
def test_titles_of_earlier_months_are_found(tmp_path, preprocess):
    title = {
        "id": "t1",
        "title": "a title that can be answered",
        "selftext": "",
        "author": "x",
        "subreddit": "news",
        "created_utc": 1_420_070_400,
        "is_self": True,
    }
    (tmp_path / "RS_1").write_bytes(ndjson([title]))
    (tmp_path / "RC_1").write_bytes(ndjson([comment(1, thread="t1"), comment(2, thread="t2")]))
    (tmp_path / "RC_2").write_bytes(ndjson([comment(3, thread="t1"), comment(4, "c3", "t1")]))
    arguments = ["--submissions", "title", "--keep-months", "2"]
    inputs = [tmp_path / name for name in ("RS_1", "RC_1", "RC_2")]
    one = preprocess(*inputs, output="one", arguments=arguments)
    grown = preprocess(*inputs[:2], arguments=arguments)
    extend(grown, inputs[2])
    assert pairs(grown) == pairs(one)
    assert load_manifest(str(grown)).counters == load_manifest(str(one)).counters
    late = preprocess(*inputs[1:], output="late", arguments=arguments)
    extend(late, inputs[0])
    assert pairs(late) == pairs(one)
    assert load_manifest(str(late)).counters == load_manifest(str(one)).counters


@pytest.mark.e2e
def test_comments_before_the_kept_months_are_forgotten_and_their_pairs_stay(grow):
    months = chains(4)
    corpus = grow([*months[:3], months[3]], arguments=["--keep-months", "1"])
    one = grow([list(itertools.chain(*months))], "one")
    assert pairs(corpus) == pairs(one)  # the parent of a month's first comment is a month old
    (state,) = {load_manifest(str(corpus)).state["newest_month"]}
    assert state == 2015 * 12 + 3


def test_a_few_comments_with_a_wrong_time_do_not_end_the_kept_months():
    assert newest_month([(24_180, 5_000), (24_600, 2)]) == 24_180
    assert newest_month([(24_180, 5_000)], before=24_181) == 24_181
    assert newest_month([]) == 0


def test_a_corpus_without_kept_months_has_the_manifest_of_earlier_releases(grow):
    corpus = grow([chains(1)[0]], arguments=[])
    values = json.loads((corpus / "manifest.json").read_bytes())
    assert values["format_version"] == 1
    assert not {"generations", "state"} & values.keys()
    assert "keep_months" not in values["options"]
    assert not (corpus / "state").exists()


def test_what_cannot_be_extended_is_refused_and_stays(grow, tmp_path):
    plain = grow([chains(1)[0]], "plain", [])
    with pytest.raises(UserError, match="--keep-months 6"):
        extend(plain, tmp_path / "RC_plain_0")
    corpus = grow([chains(1)[0]])
    before = (corpus / "COMPLETED").read_bytes()
    with pytest.raises(UserError, match=r"RC_corpus_0: is in .*corpus already"):
        extend(corpus, tmp_path / "RC_corpus_0")
    with pytest.raises(UserError, match="--min-chars: --extend uses the option of the corpus"):
        preprocess.main(["--extend", str(corpus), "--input", "RC_1", "--min-chars", "5"])
    with pytest.raises(UserError, match="missing: corpus does not exist"):
        preprocess.main(["--extend", str(tmp_path / "missing"), "--input", "RC_1"])
    (corpus / "notes.txt").write_text("mine")
    (tmp_path / "RC_next").write_bytes(ndjson(chains(2)[1]))
    with pytest.raises(UserError, match=r"notes\.txt"):
        extend(corpus, tmp_path / "RC_next")
    assert (corpus / "COMPLETED").read_bytes() == before


def test_an_error_leaves_the_corpus_also_where_folders_cannot_be_exchanged(
    grow, tmp_path, monkeypatch
):
    months = chains(2)
    corpus = grow(months[:1])
    before = {p.name: p.read_bytes() for p in corpus.rglob("*") if p.is_file()}
    (tmp_path / "RC_next").write_bytes(ndjson(months[1]))
    monkeypatch.setattr(publishing, "exchange", lambda first, second: False)
    with monkeypatch.context() as failing:
        failing.setattr(publishing.storage, "sync_tree", fail)
        with pytest.raises(UserError, match="cannot be published"):
            extend(corpus, tmp_path / "RC_next")
    assert {p.name: p.read_bytes() for p in corpus.rglob("*") if p.is_file()} == before
    extend(corpus, tmp_path / "RC_next")
    assert list(verify.problems(str(corpus))) == []


def fail(folder):
    raise OSError("the disk is gone")


@pytest.mark.e2e
def test_a_killed_extension_leaves_the_corpus_as_it_was_and_can_be_repeated(grow, tmp_path):
    months = chains(2, threads=40)
    corpus = grow(months[:1])
    (tmp_path / "RC_next").write_bytes(ndjson(months[1]))
    before = (corpus / "COMPLETED").read_bytes()
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--extend", str(corpus)]
    command += ["--input", str(tmp_path / "RC_next"), "--quiet", "--workers", "1"]
    killed = 0
    for share in (0.5, 0.7, 0.8, 0.9):
        process = subprocess.Popen(command, cwd=tmp_path)
        time.sleep(12 * share)
        if process.poll() is None:
            killed += 1
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert list(verify.problems(str(corpus))) == []
        if (corpus / "COMPLETED").read_bytes() != before:
            break
    assert killed
    if (corpus / "COMPLETED").read_bytes() == before:
        extend(corpus, tmp_path / "RC_next")
    assert pairs(corpus) == pairs(grow([list(itertools.chain(*months))], "one"))
