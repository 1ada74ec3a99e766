"""The `polyai` preset gives exactly what PolyAI's extractor made of the same input."""

import bz2
import io
import itertools
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines import convert, preprocess

pytestmark = pytest.mark.realdata

DATA = Path(os.environ.get("REJOINDER_DATA", "../shared/data"))
GOLDEN = DATA.parent / "golden"
DUMPS = DATA / "reddit_dumps"
FIELDS = ("context", "response", "context_author", "response_author", "subreddit", "thread_id")

if not GOLDEN.is_dir():
    pytest.skip(f"no golden sets at {GOLDEN}; set REJOINDER_DATA", allow_module_level=True)


def golden(name: str, extra_contexts: int) -> Counter[str]:
    path = GOLDEN / name
    data = path.read_bytes()
    if path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return Counter(
        canonical(json.loads(line), extra_contexts) for line in data.decode().splitlines()
    )


def canonical(example: dict, extra_contexts: int) -> str:
    names = (*FIELDS, *(f"context/{i}" for i in range(extra_contexts)))
    return json.dumps({n: example[n] for n in names if n in example}, sort_keys=True)


def extract(tmp_path: Path, *inputs: Path, arguments: tuple[str, ...] = ()) -> Path:
    output = tmp_path / "corpus"
    preprocess.main(
        [
            "--input",
            *map(str, inputs),
            "--output",
            str(output),
            "--tokenizer",
            str(DATA / "tokenizer"),
            "--keep-text",
            "--quiet",
            *arguments,
        ]
    )
    return output


CASES = {
    "awkward": ("awkward_{}.jsonl", [GOLDEN / "awkward.ndjson"]),
    "months_zst": (
        "dumps_2005-12_to_2006-02_{}.jsonl",
        [DUMPS / "RC_2005-12.zst", DUMPS / "RC_2006-01.zst", DUMPS / "RC_2006-02.bz2"],
    ),
    "months_bz2": (
        "dumps_2005-12_to_2006-02_{}.jsonl",
        [DUMPS / "RC_2006-02.bz2", DUMPS / "RC_2006-01.bz2", DUMPS / "RC_2005-12.zst"],
    ),
    "derived": ("derived_{}.jsonl.zst", [DUMPS / "RC_2015-derived.zst"]),
}


@pytest.mark.parametrize("extra_contexts", [0, 9])
@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(tmp_path, case, extra_contexts):
    name, inputs = CASES[case]
    output = extract(tmp_path, *inputs, arguments=("--extra-contexts", str(extra_contexts)))
    for split in ("train", "test"):
        ours = Counter(
            canonical(e, extra_contexts) for e in reading.read_examples(str(output), split)
        )
        assert ours == golden(name.format(split), extra_contexts)


@pytest.mark.parametrize("order", itertools.permutations(range(3)), ids=str)
def test_months_added_in_any_order_equal_the_reference(tmp_path, order):
    name, inputs = CASES["months_zst"]
    output = extract(tmp_path, inputs[order[0]], arguments=("--keep-months", "3"))
    for month in order[1:]:
        added = ["--extend", str(output), "--input", str(inputs[month])]
        preprocess.main([*added, "--quiet", "--workers", "1"])
    for split in ("train", "test"):
        ours = Counter(canonical(e, 0) for e in reading.read_examples(str(output), split))
        assert ours == golden(name.format(split), 0)
    counters = load_manifest(str(output)).counters
    assert sum(counters.values()) == 1_075 + 3_666 + 9_095
    assert (counters["pair/train"], counters["pair/test"]) == (553, 65)


@pytest.mark.parametrize("case", ["awkward", "months_zst"])
def test_json_of_polyai_equals_the_reference_line_by_line(tmp_path, case):
    name, inputs = CASES[case]
    corpus = extract(tmp_path, *inputs, arguments=("--extra-contexts", "9"))
    output = tmp_path / "out"
    convert.main([str(corpus), "--output", str(output), "--format", "polyai-json"])
    for split in ("train", "test"):
        lines = [
            line
            for path in output.glob(f"{split}-*.json")
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]
        ]
        expected = (GOLDEN / name.format(split)).read_text(encoding="utf-8").split("\n")[:-1]
        assert sorted(lines) == sorted(expected)


def test_counters_add_up_to_the_lines_of_the_files(tmp_path):
    output = extract(tmp_path, *CASES["months_zst"][1])
    manifest = load_manifest(str(output))
    assert sum(manifest.counters.values()) == 1_075 + 3_666 + 9_095
    assert [entry["lines"] for entry in manifest.inputs] == [1_075, 3_666, 9_095]
    assert (manifest.examples("train"), manifest.examples("test")) == (553, 65)


def small_lines(*names: str) -> list[dict]:
    return [
        json.loads(line)
        for name in names
        for line in (DUMPS / name).read_text(encoding="utf-8").splitlines()
    ]


def by_plain_loops(lines: list[dict]) -> Counter[str]:
    """The pairs of a few comments whose repeated ids have equal bodies, as the reference joins."""
    comments = {(line["link_id"], line["id"]): line for line in lines}

    def passes(line: dict) -> bool:
        return 9 <= len(line["body"]) <= 127 and line["body"] not in ("[deleted]", "[removed]")

    found: Counter[str] = Counter()
    for (thread, _), line in comments.items():
        above = comments.get((thread, line["parent_id"].removeprefix("t1_")))
        if above and passes(above) and passes(line):
            values = (above["body"], line["body"], above["author"], line["author"])
            pair = dict(zip(FIELDS, (*values, line["subreddit"], thread[3:]), strict=True))
            found[canonical(pair, 0)] += 1
    return found


def test_one_line_of_every_schema_era(tmp_path):
    """No line is lost or rejected, and every time is a date."""
    lines = small_lines("one_line_per_schema_era.json")
    output = extract(tmp_path, DUMPS / "one_line_per_schema_era.json")
    manifest = load_manifest(str(output))
    found = {name: count for name, count in manifest.counters.items() if count}
    assert sum(found.values()) == manifest.inputs[0]["lines"] == len(lines) == 27
    assert not [name for name in found if name.startswith(("rejected/", "blank"))]
    assert manifest.examples("train") + manifest.examples("test") == by_plain_loops(lines).total()


def test_the_2021_schema_with_repeated_ids(tmp_path):
    names = sorted(path.name for path in DUMPS.glob("comment_2021-*.json"))
    lines = small_lines(*names)
    output = extract(tmp_path, *(DUMPS / name for name in names))
    manifest = load_manifest(str(output))
    repeated = len(lines) - len({(line["link_id"], line["id"]) for line in lines})
    assert len(lines) == 350
    assert manifest.counters["duplicate_id"] == repeated
    assert sum(manifest.counters.values()) == len(lines)
    ours = Counter(
        canonical(example, 0)
        for split in ("train", "test")
        for example in reading.read_examples(str(output), split)
    )
    assert ours == by_plain_loops(lines)
    assert ours


def test_submissions_are_refused_whatever_their_name(tmp_path):
    dump = DUMPS / "RS_2006-01.bz2"
    with pytest.raises(UserError, match=r"RS_2006-01\.bz2: RS_ files hold submissions"):
        extract(tmp_path, dump)
    renamed = tmp_path / "comments.bz2"
    renamed.write_bytes(dump.read_bytes())
    with pytest.raises(UserError, match=r"comments\.bz2: holds submissions"):
        extract(tmp_path, renamed)


def titles_and_answers(dumps: list[Path]) -> Counter[str]:
    """The pairs of a title and a comment on it, and of comments, by plain loops."""
    texts, answers = {}, []
    for path in dumps:
        for line in map(json.loads, bz2.decompress(path.read_bytes()).splitlines()):
            if "title" in line:
                texts[line["id"], "t3_" + line["id"]] = line["title"], line["author"]
            else:
                thread = line["link_id"][3:]
                texts[thread, "t1_" + line["id"]] = line["body"], line["author"]
                parent = line["parent_id"]
                above = "t3_" + thread if parent.startswith("t3_") else parent
                answers.append((thread, above, line))

    def passes(text: str) -> bool:
        return 1 <= len(text) <= 10_000 and text not in ("[deleted]", "[removed]")

    found: Counter[str] = Counter()
    for thread, above, line in answers:
        text, author = texts.get((thread, above), ("", ""))
        if passes(text) and passes(line["body"]):
            values = (text, line["body"], author, line["author"], line["subreddit"], thread)
            found[canonical(dict(zip(FIELDS, values, strict=True)), 0)] += 1
    return found


def test_submissions_beside_comments(tmp_path):
    names = ("RC_2006-01.bz2", "RC_2006-02.bz2", "RS_2006-01.bz2")
    dumps = [DUMPS / name for name in names]
    limits = ("--min-chars", "1", "--max-chars", "10000")
    output = extract(tmp_path, *dumps, arguments=("--submissions", "title", *limits))
    ours = Counter(
        canonical(example, 0)
        for split in ("train", "test")
        for example in reading.read_examples(str(output), split)
    )
    expected = titles_and_answers(dumps)
    assert ours == expected
    counters = load_manifest(str(output)).counters
    assert sum(counters.values()) == 145 + 3_666 + 9_095
    of_submissions = sum(n for name, n in counters.items() if name.endswith("/submission"))
    assert of_submissions == (expected - titles_and_answers(dumps[:2])).total()
    assert of_submissions > 0
