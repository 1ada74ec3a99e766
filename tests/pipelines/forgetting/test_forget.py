"""Forgotten comments are gone from every file of a corpus, and all else stays."""

import gzip
import html
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard
from markupsafe import Markup

from rejoinder.corpus import reading, tfrecord
from rejoinder.corpus.manifest import load_manifest
from rejoinder.pipelines import forget, verify
from rejoinder.pipelines.testing import comment, ndjson


def text(number: int) -> str:
    """Returns a text that no other comment has, not even a part of one."""
    return f"the words number <{number}> of one comment"


def lines(months: int = 1, threads: int = 12, replies: int = 8) -> list[list]:
    """Returns lines by month: chains of replies, some filtered, some that are not comments."""
    found: list[list] = [[] for _ in range(months)]
    for thread in range(threads):
        parent = None
        for index in range(replies):
            number = 100 * thread + index
            month = index * months // replies
            made = comment(
                number,
                parent,
                thread=f"t{thread}",
                body=text(number) + " that is longer than the limit" * 4 * (number % 9 == 5),
                author=f"writer{number % 10}",
                created_utc=1_420_070_400 + 31 * 86_400 * month + number,
            )
            found[month].append(made)
            parent = f"c{number}"
    broken = '{"id": "c%d", "author": "writer%d", "body": "%s'
    found[0] += [broken % (n, n % 10, text(n)) for n in range(900, 910)]
    return found


def without(months: list[list], ids: set[str]) -> list[list]:
    return [
        [line for line in month if isinstance(line, str) or line["id"] not in ids]
        for month in months
    ]


def decoded(folder: Path) -> dict[str, str]:
    """Returns the content of every file of a folder as text, by name."""
    return {
        str(path.relative_to(folder)): decode(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def decode(path: Path) -> str:
    data = path.read_bytes()
    if "tfrecord" in path.name:
        return "\n".join(str(reading.decode(record)) for record in tfrecord.read_frames(data))
    if path.suffix == ".parquet":
        return str(pq.read_table(io.BytesIO(data)).to_pylist())
    if path.suffix in (".gz", ".zst"):
        data = {".gz": gzip.decompress, ".zst": zstandard.decompress}[path.suffix](data)
    content = data.decode("utf-8", "backslashreplace")
    return html.unescape(content) if path.suffix == ".html" else content


def traces(folder: Path, numbers: Iterable[int]) -> dict[int, set[str]]:
    """Returns the files that hold the text or the id of each comment."""
    files = decoded(folder)
    return {
        number: {
            name
            for name, content in files.items()
            if f"<{number}>" in content or f"'c{number}'" in content or f'"c{number}"' in content
        }
        for number in numbers
    }


def pairs(folder: Path) -> Counter[str]:
    return Counter(
        json.dumps([split, example], sort_keys=True)
        for split in ("train", "test")
        for example in reading.read_examples(str(folder), split)
    )


@pytest.fixture
def make(tmp_path, preprocess):
    """Returns a function that makes a corpus from months."""

    def run(months: list[list], output: str = "corpus", arguments=("--keep-months", "6")) -> Path:
        dump = tmp_path / f"RC_{output}"
        dump.write_bytes(ndjson(itertools.chain(*months)))
        options = ["--num-shards", "6", "--max-bad-ratio", "0.5", *arguments]
        return preprocess(dump, output=output, arguments=options)

    return run


@pytest.fixture
def run_forget(tmp_path):
    """Returns a function that forgets ids and authors."""

    def run(folder: Path, ids: Iterable[str] = (), authors: Iterable[str] = (), *more: str) -> None:
        arguments = [str(folder), *more]
        for flag, names in (("ids", list(ids)), ("authors", list(authors))):
            if names:
                (tmp_path / flag).write_text("\n".join(names) + "\n")
                arguments += [f"--{flag}", str(tmp_path / flag)]
        forget.main(arguments)

    return run


@pytest.fixture
def _real_page(monkeypatch):
    """Lets the report have its page, without the plots, whose drawing takes seconds."""
    monkeypatch.undo()
    monkeypatch.setattr("rejoinder.pipelines.job.thread_limit.limit_threads", lambda: None)
    monkeypatch.setattr("rejoinder.figure.svg", lambda draw, **size: Markup("<svg></svg>"))


@pytest.mark.usefixtures("_real_page")
def test_fifty_comments_are_in_many_files_before_and_in_none_afterwards(make, run_forget):
    corpus = make(lines())
    numbers = [*[100 * t + i for t in range(0, 12, 2) for i in range(8)][:45], *range(900, 905)]
    before = traces(corpus, numbers)
    assert all(before.values())
    files = set().union(*before.values())
    assert {"report.json", "report.html", "rejects/rejects.ndjson"} <= files
    assert any(name.startswith("state/") for name in files)
    run_forget(corpus, [f"t1_c{number}" for number in numbers])
    assert set().union(*traces(corpus, numbers).values()) == set()
    assert list(verify.problems(str(corpus))) == []


def test_the_pairs_are_those_of_a_run_without_the_comments(make, run_forget):
    months = lines()
    ids = {f"c{number}" for number in (3, 105, 207, 208, 306, 999_999)}
    corpus = make(months)
    run_forget(corpus, ids)
    other = make(without(months, ids), "other")
    assert pairs(corpus) == pairs(other)
    names = [s.name for split in load_manifest(str(corpus)).splits.values() for s in split]
    for name in names:
        assert (corpus / name).read_bytes() == (other / name).read_bytes()


def test_only_the_files_concerned_are_written_again(make, run_forget):
    corpus = make(lines())
    before = {path: path.stat().st_ino for path in corpus.rglob("*") if path.is_file()}
    run_forget(corpus, ["c3"])
    written = {p.name for p in before if p.stat().st_ino != before[p]}
    assert len([name for name in written if "tfrecord" in name]) == 1
    assert len([name for name in written if name.endswith(".parquet")]) == 1
