"""Forgotten comments are gone from every file of a corpus, and all else stays."""

import gzip
import html
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from markupsafe import Markup

from rejoinder.corpus import features, reading, tfrecord
from rejoinder.corpus.embeddings import (
    EmbeddingShard,
    embedding_column,
    manifest_text,
    read_batches,
    write_table,
)
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines import forget, inspect, preprocess, verify
from rejoinder.pipelines import pairs as files
from rejoinder.pipelines.growth.forgotten import FILE, read_list
from rejoinder.pipelines.testing import comment, ndjson
from rejoinder.retrieval import index_builder
from rejoinder.retrieval.index import SearchIndex


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
    found[0] += map(broken_line, range(900, 910))
    return found


def broken_line(number: int) -> str:
    return f'{{"id": "c{number}", "author": "writer{number % 10}", "body": "{text(number)}'


def is_of(line: object, author: str) -> bool:
    return isinstance(line, dict) and line["author"] == author


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
def make(tmp_path, request):
    """Returns a function that makes a corpus from months."""
    preprocess_files = request.getfixturevalue("preprocess")

    def run(months: list[list], output: str = "corpus", arguments=("--keep-months", "6")) -> Path:
        dump = tmp_path / f"RC_{output}"
        dump.write_bytes(ndjson(itertools.chain(*months)))
        options = ["--num-shards", "6", "--max-bad-ratio", "0.5", *arguments]
        return preprocess_files(dump, output=output, arguments=options)

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
def test_fifty_comments_and_those_of_authors_are_in_many_files_before_and_in_none_afterwards(
    make, run_forget
):
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

    # The comments of an author, of the other threads.
    numbers = [100 * thread + 4 for thread in (1, 3, 5, 7, 11)] + [906]
    assert all(traces(corpus, numbers).values())
    run_forget(corpus, [], ["WRITER4", "writer6"])
    left = traces(corpus, numbers)
    # Of a filtered comment the state has the id, and neither author nor text.
    filtered = {number for number in numbers if number % 9 == 5}
    assert {number for number, files in left.items() if files} == filtered
    assert {name.partition("/")[0] for name in set().union(*left.values())} == {"state"}
    assert not [name for name, content in decoded(corpus).items() if "writer4" in content]
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


def test_an_extension_leaves_forgotten_comments_and_authors_out(make, run_forget, tmp_path):
    months = lines(2)
    ids = {"c3", "c103", "c105", "c206"}  # of both months; replies to them are in the second, too
    corpus = make(months[:1])
    run_forget(corpus, ids, ["Writer2"])
    content = (corpus / "state/forgotten.json").read_text()
    assert not [name for name in (*ids, "writer2") if f'"{name}"' in content.lower()]
    gone = ids | {line["id"] for month in months for line in month if is_of(line, "writer2")}
    other = make(without(months[:1], gone), "other")
    for folder, month in ((corpus, months[1]), (other, without(months[1:], gone)[0])):
        dump = tmp_path / f"next_{folder.name}"
        dump.write_bytes(ndjson([*month, broken_line(104), broken_line(105)]))
        command = ["--extend", str(folder), "--input", str(dump), "--max-bad-ratio", "0.5"]
        preprocess.main([*command, "--quiet"])
    assert pairs(corpus) == pairs(other)
    assert list(verify.problems(str(corpus))) == []
    left = traces(corpus, [int(i[1:]) for i in gone])
    # Of a filtered comment of the first month the state has the id, without its author.
    assert {number % 9 for number, files in left.items() if files} == {5}
    assert not {f"c{number}" for number, files in left.items() if files} & ids
    assert "<104>" in (corpus / "rejects/rejects.ndjson").read_text()
    counters = load_manifest(str(corpus)).counters
    assert counters["forgotten/comment"] == len([line for line in months[1] if line["id"] in gone])
    run_forget(corpus, ["c7"])
    assert read_list(str(corpus / FILE)).has_id("c105")  # the list is carried on
    for entry in load_manifest(str(corpus)).generations:
        counted = [n for name, n in entry["counters"].items() if name.startswith("pair/")]
        assert sum(entry["pairs"].values()) == sum(counted)


def test_earlier_turns_end_before_a_forgotten_comment(make, run_forget, monkeypatch):
    months = lines()
    arguments = ["--extra-contexts", "3", "--keep-months", "6"]
    ids = {"c3", "c105", "c206"}  # c105 is too long for a pair, and an earlier turn of others
    corpus = make(months, arguments=arguments)
    numbers = [int(i[1:]) for i in ids]
    assert all(traces(corpus, numbers).values())
    run_forget(corpus, ids)
    assert set().union(*traces(corpus, numbers).values()) == set()
    assert pairs(corpus) == pairs(make(without(months, ids), "other", arguments))
    run_forget(corpus, [], ["writer4"])
    assert not [name for name, content in decoded(corpus).items() if "writer4" in content]
    with monkeypatch.context() as earlier:  # pairs of a release that did not name earlier turns
        names = SimpleNamespace(**vars(features) | {"extra_context_id": "none/{}".format})
        earlier.setattr("rejoinder.pipelines.forgetting.shards.features", names)
        with pytest.raises(UserError, match=r"an earlier turn \(context/0\) has no id"):
            run_forget(corpus, ["c7"])
    assert list(verify.problems(str(corpus))) == []


@pytest.mark.e2e
def test_files_for_other_programs_lose_the_same_pairs(make, run_forget):
    months = lines(threads=4)
    arguments = ["--format", "parquet", "--extra-contexts", "1"]
    corpus = make(months, arguments=arguments)
    run_forget(corpus, ["c3", "c303"])
    other = make(without(months, {"c3", "c303"}), "other", arguments)
    assert pairs(corpus) == pairs(other)
    for path in (other / "data").iterdir():
        assert (corpus / "data" / path.name).read_bytes() == path.read_bytes()
    assert load_manifest(str(corpus)).format_version == 2


def test_other_files_stay_and_the_figures_count_what_is_left(make, run_forget, capsys):
    corpus = make(lines())
    before, old = load_manifest(str(corpus)), json.loads((corpus / "report.json").read_bytes())
    run_forget(corpus, ["c3", "c207"], [], "--dry-run")
    dry = capsys.readouterr().out
    assert "nothing was written (--dry-run)" in dry
    assert load_manifest(str(corpus)) == before
    files_before = inodes(corpus)
    run_forget(corpus, ["c3", "c207"])
    written = {name for name, inode in inodes(corpus).items() if inode != files_before.get(name)}
    assert len([name for name in written if "tfrecord" in name]) <= 2
    assert len([name for name in written if name.endswith(".parquet")]) <= 2
    assert counts(capsys.readouterr().out) == counts(dry)
    after, new = load_manifest(str(corpus)), json.loads((corpus / "report.json").read_bytes())
    gone = sum(before.examples(s) - after.examples(s) for s in ("train", "test"))
    assert gone == after.counters["forgotten/pair"] == 3  # c2-c3, c3-c4, c206-c207
    assert sum(after.counters.values()) == sum(before.counters.values())
    for name in ("context_chars", "response_tokens", "subreddits"):
        assert sum(old[name].values()) - sum(new[name].values()) == gone
    assert new["thread_sizes"] == {"4": 2, "8": 10}
    described = json.loads((corpus / "dataset_info.json").read_bytes())["splits"]
    for split in described:
        assert sum(map(int, split["shardLengths"])) == after.examples(split["name"])
    (removal,) = after.removals
    assert sum(removal["pairs"].values()) == gone
    inspect.main([str(corpus), "--examples", "0"])
    assert "forgotten/pair" in capsys.readouterr().out


@pytest.mark.e2e
def test_the_text_of_a_submission_is_forgotten_by_its_own_id(tmp_path, run_forget, preprocess):
    title = {"author": "x", "subreddit": "news", "created_utc": 1_420_070_400, "selftext": ""}
    titles = [
        title | {"id": f"s{n}", "title": f"the title <{n}> of a submission"} for n in range(4)
    ]
    comments = [comment(n, thread=f"s{n % 4}") for n in range(8)]
    (tmp_path / "RS_1").write_bytes(ndjson(titles))
    (tmp_path / "RC_1").write_bytes(ndjson([*comments, comment(9, "c1", "s1")]))
    arguments = ["--submissions", "title", "--keep-months", "1", "--extra-contexts", "1"]
    corpus = preprocess(tmp_path / "RS_1", tmp_path / "RC_1", arguments=arguments)
    before = load_manifest(str(corpus)).counters
    run_forget(corpus, ["t3_s1"])
    after = load_manifest(str(corpus)).counters
    assert not [name for name, content in decoded(corpus).items() if "title <1>" in content]
    assert list(verify.problems(str(corpus))) == []
    of_submissions = [f"pair/{split}/submission" for split in ("train", "test")]
    assert sum(before.get(n, 0) - after.get(n, 0) for n in of_submissions) == 2  # c1 and c5
    assert after["forgotten/pair"] == 2  # c9 answers c1, and only loses its earlier turn


def inodes(folder: Path) -> dict[str, int]:
    """Returns the inode of each file: one that is written again has another."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_ino for path in paths}


def counts(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("  ")]


def test_what_cannot_be_found_is_refused_by_name_before_anything_is_written(
    make, run_forget, tmp_path, tokenizer_folder
):
    corpus = make(lines(threads=2))
    before = decoded(corpus)
    with pytest.raises(UserError, match="nothing to forget; give --ids"):
        run_forget(corpus)
    with pytest.raises(UserError, match=r"--ids .*ids line 1: 'https://x' is not the id"):
        run_forget(corpus, ["https://x"])
    with pytest.raises(UserError, match="missing: corpus does not exist"):
        run_forget(tmp_path / "missing", ["c1"])
    with pytest.raises(UserError, match="local disk"):
        forget.main(["gs://bucket/corpus", "--ids", str(tmp_path / "ids")])
    (tmp_path / "key").write_bytes(b"k" * 16)
    with pytest.raises(UserError, match=r"--hash-authors: the authors of .* are not hashed"):
        run_forget(corpus, [], ["writer1"], "--hash-authors", str(tmp_path / "key"))
    (corpus / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        run_forget(corpus, ["c1"])
    (corpus / "notes.txt").unlink()
    change_option(corpus, mine={"negatives": 3})
    with pytest.raises(UserError, match=r"hard negatives .* mine again"):
        run_forget(corpus, ["c1"])
    change_option(corpus, mine=None, extra_contexts=2)
    with pytest.raises(UserError, match="its further contexts have no ids"):
        run_forget(corpus, ["c1"])
    after = decoded(corpus)
    assert {k for k in before if before[k] != after[k]} == {"manifest.json"}
    (tmp_path / "a.jsonl").write_text(json.dumps(["a question", "an answer"]) + "\n")
    paths = ["--input", str(tmp_path / "a.jsonl"), "--output", str(tmp_path / "files")]
    options = ["--tokenizer", tokenizer_folder, "--keep-text", "--quiet", "--num-shards", "1"]
    files.main([*paths, *options])
    with pytest.raises(UserError, match="its pairs have no ids of comments"):
        run_forget(tmp_path / "files", ["c1"])


def change_option(corpus: Path, **options: object) -> None:
    """Changes options in the manifest of a corpus; None removes one."""
    values = json.loads((corpus / "manifest.json").read_bytes())
    merged = values["options"] | options
    values["options"] = {name: value for name, value in merged.items() if value is not None}
    (corpus / "manifest.json").write_text(json.dumps(values))


def test_embeddings_and_indexes_lose_their_rows_in_the_same_run(make, run_forget, tmp_path, capsys):
    corpus = make(lines(threads=2))
    embedded, index = tmp_path / "embedded", tmp_path / "index"
    ids = [f"c{n}" for n in range(8)]
    write_embeddings(embedded, {"text": [text(n) for n in range(8)], "id": ids})
    build = index_builder.build
    build(str(index), read_batches(str(embedded)), model="m", source=str(embedded))
    plain = tmp_path / "plain"
    write_embeddings(plain, {"text": [text(1)]})
    before = decoded(corpus)
    with pytest.raises(UserError, match=r"--embeddings .*plain: its rows have no ids"):
        run_forget(corpus, ["c3"], [], "--embeddings", str(embedded), str(plain))
    folders = ["--embeddings", str(embedded), "--index", str(index)]
    with pytest.raises(UserError, match=r"--embeddings .*embedded: would be empty; delete"):
        run_forget(corpus, ids, [], *folders)
    assert decoded(corpus) == before
    assert pq.read_table(embedded / "a.parquet").num_rows == 8
    capsys.readouterr()
    run_forget(corpus, ["c3"], [], *folders)
    printed = capsys.readouterr().out
    assert f"  --embeddings {embedded}: 1 of 8 rows" in printed
    assert f"  --index {index}: 1 of 8 rows" in printed
    found = SearchIndex(index)
    left = [found.segments[0].row(row)["id"] for row in range(len(found))]
    assert left == pq.read_table(embedded / "a.parquet")["id"].to_pylist() == ids[:3] + ids[4:]
    assert "c3" not in {e["context_id"] for e in reading.read_examples(str(corpus), "train")}


def write_embeddings(folder: Path, columns: dict[str, list[str]]) -> None:
    folder.mkdir()
    rows = len(columns["text"])
    vectors = embedding_column(np.eye(rows, 8, dtype=np.float32), "float32")
    with open(folder / "a.parquet", "wb") as file:
        write_table(pa.table({**columns, "embedding": vectors}), file)
    shard = EmbeddingShard("a.parquet", rows, 0, (folder / "a.parquet").stat().st_size, "")
    (folder / "manifest.json").write_text(manifest_text([shard], {"model": "m"}))


@pytest.mark.e2e
def test_authors_of_a_corpus_with_hashes_are_found_with_its_key(make, run_forget, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"a key of 16 bytes and more")
    corpus = make(lines(threads=2), arguments=["--hash-authors", str(key)])
    with pytest.raises(UserError, match="are hashed; give --hash-authors"):
        run_forget(corpus, [], ["writer3"])
    run_forget(corpus, [], ["writer3"], "--hash-authors", str(key))
    left = set().union(*traces(corpus, [3, 103]).values())
    assert not left
    # The pairs of c2, c3, c4, and c102, c103; c104 is too long.
    assert load_manifest(str(corpus)).counters["forgotten/pair"] == 3
