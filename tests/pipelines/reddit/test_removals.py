"""`--drop-deleted-later` drops what the dump says was deleted or removed after it was taken."""

import json

import pytest

from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.pipelines.dumps.chunks import Chunk
from rejoinder.pipelines.reddit.filters import build_filters, optional_columns
from rejoinder.pipelines.reddit.line_parser import parse_line
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.reddit.parse import parse_chunk
from rejoinder.pipelines.reddit.removals import KINDS, removal_of
from rejoinder.pipelines.testing import comment, ndjson

LATER = {"was_deleted_later": True, "retrieved_2nd_on": 1_706_875_209}

# `_meta` of Arctic Shift's schemas, and the filter that drops it.
METAS = {
    "nothing happened": ({"retrieved_2nd_on": 1, "is_edited": True}, None),
    "no meta": (None, None),
    "an empty meta": ({}, None),
    "deleted by its author": (LATER | {"removal_type": "deleted"}, "deleted_later"),
    "a submission deleted by its author": (LATER | {"removal_type": "author"}, "deleted_later"),
    "deleted without a type": (LATER, "deleted_later"),
    "removed by a moderator": (LATER | {"removal_type": "removed"}, "removed_later"),
    "a submission removed by a moderator": (LATER | {"removal_type": "moderator"}, "removed_later"),
    "a type of a later year": (LATER | {"removal_type": "new"}, "removed_later"),
    "a type that is no text": (LATER | {"removal_type": 5}, "removed_later"),
    "removed by Reddit": (
        LATER | {"removal_type": "removed by reddit"},
        "removed_by_reddit_later",
    ),
    "a submission that Reddit took down": (
        LATER | {"removal_type": "content_takedown"},
        "removed_by_reddit_later",
    ),
    "a type without the mark": ({"removal_type": "deleted"}, "deleted_later"),
    "deleted at first and back": (
        {"removal_type": "deleted", "was_initially_deleted": True},
        None,
    ),
    "back, and deleted again": (
        LATER | {"removal_type": "removed", "was_initially_deleted": True},
        "removed_later",
    ),
    "not deleted": ({"was_deleted_later": False}, None),
    "a damaged text": ({"corrupted_body": "\0\0\r\n"}, "corrupted"),
    "a damaged text of a submission": ({"corrupted_selftext": ""}, "corrupted"),
    "damaged and deleted": (LATER | {"corrupted_body": "x"}, "deleted_later"),
    "a text as meta": ("was_deleted_later", None),
    "a list as meta": ([LATER], None),
    "a number as meta": (7, None),
}  # fmt: skip


@pytest.mark.parametrize("case", METAS)
def test_both_parsers_read_what_happened_to_a_comment(case):
    meta, expected = METAS[case]
    assert removal_of(meta) == expected
    line = json.dumps(comment(1) | {"_meta": meta}).encode()
    parsed = parse_line(line, 1)
    assert parsed["removal"] == expected
    data = line + b"\n" + json.dumps(comment(2)).encode() + b"\n"
    frame, rejects, _ = parse_chunk(Chunk(data, 1, 2), ["removal"])
    assert rejects == []
    assert dict(frame.select("id", "removal").rows()) == {"c1": expected, "c2": None}


def test_an_escaped_key_and_a_repeated_one_are_found():
    data = b"".join(
        line.replace(b'"score"', meta + b', "score"')
        for number, meta in enumerate(
            (
                rb'"_meta": {"was\u005fdeleted_later": true}',
                rb'"_meta": {"a": 1}, "_meta": {"was_deleted_later": true}',
                rb'"_meta": {"was_deleted_later": true}, "_meta": {"a": 1}',
            )
        )
        for line in [ndjson([comment(number)])]
    )
    frame, rejects, _ = parse_chunk(Chunk(data, 1, 3), ["removal"])
    assert rejects == []
    expected = {"c0": "deleted_later", "c1": None, "c2": "deleted_later"}  # the first key counts
    assert dict(frame.select("id", "removal").rows()) == expected


def lines() -> list[dict]:
    removed = {
        1: LATER | {"removal_type": "deleted"},
        2: LATER | {"removal_type": "removed"},
        3: LATER | {"removal_type": "removed by reddit"},
        4: {"corrupted_body": "x"},
    }
    replies = [comment(n, f"c{n - 1}", _meta=removed.get(n)) for n in range(1, 8)]
    titles = [
        {"id": f"t{n}", "title": f"the title number {n}", "_meta": removed.get(n)} for n in range(3)
    ]
    on_titles = [comment(10 + n, thread=f"t{n}") for n in range(3)]
    return [comment(0), *replies, comment(8, "c7", body="[deleted]"), *titles, *on_titles]


def made(folder) -> list[dict]:
    return [e for split in ("train", "test") for e in reading.read_examples(str(folder), split)]


def test_what_was_deleted_later_is_in_no_file(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(ndjson(lines()))
    options = ["--submissions", "title", "--extra-contexts", "3", "--drop-deleted-later"]
    folder = preprocess(tmp_path / "RC", arguments=[*options, "--num-shards", "1"])
    pairs = {(e["context_id"], e["response_id"]): e for e in made(folder)}
    assert set(pairs) == {("c5", "c6"), ("c6", "c7"), ("t3_t0", "c10")}
    further = [pairs["c5", "c6"].get(f"context/{n}") for n in range(3)]
    assert further == ["[removed]", "[removed]", "[removed]"]
    counters = load_manifest(str(folder)).counters
    reasons = {name: n for name, n in counters.items() if "filtered/" in name and n}
    assert reasons == {
        "filtered/deleted": 1,
        **dict.fromkeys(
            (
                *(f"filtered/{kind}_later" for kind in ("deleted", "removed", "removed_by_reddit")),
                "filtered/corrupted",
                "submission/filtered/deleted_later",
                "submission/filtered/removed_later",
            ),
            1,
        ),
    }
    stored = b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.suffix == ".json")
    for number in range(1, 5):
        assert f"comment number {number}".encode() not in stored
    assert json.loads((folder / "manifest.json").read_text())["options"]["drop_deleted_later"]


def test_without_the_option_the_marks_are_not_read():
    assert optional_columns(ExtractOptions()) == []
    assert not {f.name for f in build_filters(ExtractOptions())} & {*KINDS}
    assert "drop_deleted_later" not in ExtractOptions().to_dict()
