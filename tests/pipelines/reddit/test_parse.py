"""The columnar parser and the line parser agree, and together they miss no line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.pipelines.dumps import chunks
from rejoinder.pipelines.dumps.chunks import Chunk
from rejoinder.pipelines.dumps.lines import Reject
from rejoinder.pipelines.reddit import parse as parse_module
from rejoinder.pipelines.reddit.line_parser import parse_line
from rejoinder.pipelines.reddit.parse import COLUMNS, parse_chunk

GOOD = {
    "id": "c1",
    "link_id": "t3_abc",
    "parent_id": "t1_c0",
    "body": "some text",
    "author": "alice",
    "subreddit": "news",
    "created_utc": 1_420_070_400,
}


def line(**changes) -> bytes:
    return json.dumps({k: v for k, v in (GOOD | changes).items() if v is not ...}).encode()


def raw(body: bytes) -> bytes:
    return b'{"id":"c1","link_id":"t3_abc","parent_id":"t1_c0","body":' + body + b"}"


def parse(*lines: bytes, ending: bytes = b"\n"):
    data = b"\n".join(lines) + ending
    frame, rejects, blanks = parse_chunk(Chunk(data, 1, len(lines)))
    assert frame.height + len(rejects) + blanks == len(lines)
    return frame.to_dicts(), rejects, blanks


def careful(one: bytes):
    parsed = parse_line(one, 1)
    if isinstance(parsed, Reject) or parsed is None:
        return parsed
    return {name: parsed[name] for name in COLUMNS}


ACCEPTED = {
    "plain": (line(), {}),
    "no author": (line(author=...), {"author": "[deleted]"}),
    "null author": (line(author=None), {"author": "[deleted]"}),
    "null subreddit": (line(subreddit=None), {"subreddit": ""}),
    "parent null": (line(parent_id=None), {"parent": None}),
    "parent missing": (line(parent_id=...), {"parent": None}),
    "parent is the submission": (line(parent_id="t3_abc"), {"parent": None}),
    "parent is another submission": (line(parent_id="t3_xyz"), {"parent": None}),
    "parent number of the old API": (line(parent_id=46656), {"parent": "1000"}),
    "parent of digits is base 36 already": (line(parent_id="t1_1234"), {"parent": "1234"}),
    "parent of bare digits": (line(parent_id="1234"), {"parent": "1234"}),
    "parent without prefix": (line(parent_id="c0"), {"parent": "c0"}),
    "parent is the bare submission": (line(parent_id="abc"), {"parent": None}),
    "id of digits": (line(id="1234567"), {"id": "1234567"}),
    "id that reads as a number": (line(id="1e5"), {"id": "1e5"}),
    "id that reads as a boolean": (line(id="true"), {"id": "true"}),
    "id with prefix": (line(id="t1_c1"), {"id": "c1"}),
    "thread without prefix": (line(link_id="abc"), {"thread": "abc"}),
    "created as text": (line(created_utc="1420070400"), {"created_utc": "1420070400"}),
    "created as float": (line(created_utc=1420070400.0), {"created_utc": "1420070400.0"}),
    "created missing": (line(created_utc=...), {"created_utc": None}),
    "created null": (line(created_utc=None), {"created_utc": None}),
    "body reads as a number": (line(body="1234567890"), {"body": "1234567890"}),
    "body reads as a list": (line(body='["a", 1]'), {"body": '["a", 1]'}),
    "body reads as an object": (line(body='{"a": 1}'), {"body": '{"a": 1}'}),
    "body in brackets": (line(body="[deleted]"), {"body": "[deleted]"}),
    "empty body": (line(body=""), {"body": ""}),
    "long body": (line(body="é" * 300_000), {"body": "é" * 300_000}),
    "emoji as two escapes": (raw(b'"\\ud83d\\ude00"'), {"body": "😀"}),
    "key as an escape": (line().replace(b'"body"', b'"\\u0062ody"'), {}),
    "the first of two equal keys": (raw(b'"first","body":"second"'), {"body": "first"}),
    "unknown nested fields": (line(gildings={"a": [1, {"b": None}]}, all_awardings=[]), {}),
    "a surrogate in a field that is not read": (line(author_flair_text="\ud800"), {}),
    "a number of 41 digits": (line(score=10**40), {}),
    "windows line ends": (line() + b"\r", {}),
    "byte order mark": (b"\xef\xbb\xbf" + line(), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_valid_line_becomes_a_row(case):
    one, changes = ACCEPTED[case]
    expected = {
        "id": "c1",
        "thread": "abc",
        "parent": "c0",
        "body": "some text",
        "author": "alice",
        "subreddit": "news",
        "created_utc": "1420070400",
    } | changes
    if b'"author"' not in one:
        expected |= {"author": "[deleted]", "subreddit": "", "created_utc": None}
        if case != "no author":
            assert careful(one)["body"] == expected["body"]
            return
        expected |= {"subreddit": "news", "created_utc": "1420070400"}
    rows, rejects, _ = parse(one)
    assert rejects == []
    assert as_number(rows[0]) == as_number(expected)
    assert as_number(careful(one)) == as_number(expected)


def as_number(row: dict) -> dict:
    """The time is only read as a number, so its text may differ."""
    created = row["created_utc"]
    return row | {"created_utc": None if created is None else float(created)}


REJECTED = {
    "broken_json": [
        b"garbage",
        line()[:-1],
        line() + line(),
        raw(b'"\t"'),
        raw(b'"\\x"'),
        raw(b'"open'),
        b"[" * 100_000,
    ],
    "not_an_object": [b"[1, 2]", b"12", b'"text"', b"null", b"true"],
    "nul": [line(body="a\0b"), raw(b'"a\0b"'), b"\0\0\0\0", line(author="\0")],
    "lone_surrogate": [line(body="a\ud800"), raw(b'"\\udc00"'), line(subreddit="\udfff")],
    "invalid_utf8": [raw(b'"\xff"'), raw(b'"\xed\xa0\x80"'), raw(b'"\xc3"')],
    "wrong_type": [
        line(id=12),
        line(id=True),
        line(body=12345),
        line(body=1.5),
        *(line(body=[element]) for element in ("a", "", True, False, None, -1, 2.5, [], {})),
        line(body=[]),
        line(body={"a": 1}),
        line(body=True),
        line(author=7),
        line(subreddit=[]),
        line(link_id=5),
        line(parent_id=1.5),
        line(parent_id=-1),
        line(parent_id=True),
        line(parent_id=["t1_c0"]),
    ],
    "no_id": [line(id=...), line(id=None), line(id=""), line(id="t1_")],
    "no_link_id": [line(link_id=...), line(link_id=None), line(link_id="t3_")],
    "no_body": [line(body=...), line(body=None)],
    "submission": [b'{"id": "a", "title": "t", "selftext": "s", "subreddit": "news"}'],
}


@pytest.mark.parametrize(
    ("reason", "one"), [(reason, one) for reason, ones in REJECTED.items() for one in ones]
)
def test_an_invalid_line_becomes_a_reject(reason, one):
    rows, rejects, _ = parse(line(id="before"), one, line(id="after"))
    assert [row["id"] for row in rows] == ["before", "after"] or {r["id"] for r in rows} == {
        "before",
        "after",
    }
    assert [(reject.line, reject.reason) for reject in rejects] == [(2, reason)]
    assert careful(one).reason == reason


def test_blank_lines_are_counted():
    rows, rejects, blanks = parse(line(), b"", b"  \t", b"\r", line(id="c2"))
    assert (len(rows), rejects, blanks) == (2, [], 3)


def test_a_last_line_without_newline():
    rows, _, _ = parse(line(), line(id="c2"), ending=b"")
    assert len(rows) == 2


def test_one_bad_line_does_not_affect_the_others():
    lines = [line(id=f"c{n}") for n in range(5000)]
    lines[1234] = b"{broken"
    rows, rejects, _ = parse(*lines)
    assert {row["id"] for row in rows} == {f"c{n}" for n in range(5000)} - {"c1234"}
    assert [reject.line for reject in rejects] == [1235]


def test_a_bad_line_does_not_change_how_others_are_parsed():
    ones = [one for one, _ in ACCEPTED.values()]
    alone = [parse(one)[0] for one in ones]
    together, _, _ = parse(*ones, b"{broken")
    key = json.dumps
    assert sorted(map(key, together)) == sorted(key(rows[0]) for rows in alone)


def test_an_oversize_line_is_a_reject():
    frame, rejects, blanks = parse_chunk(Chunk(b"xxx", 7, 1, oversize=True))
    assert (frame.height, blanks) == (0, 0)
    assert [(r.line, r.reason) for r in rejects] == [(7, "line_too_long")]


def test_removed_comments_are_parsed_by_columns(monkeypatch):
    monkeypatch.delattr(parse_module, "_parse_carefully")  # a call would be an error
    marks = ("[deleted]", "[removed]", "[deleted by user]", "{", "[", "]", "5 apples", "- yes", "")
    rows, rejects, _ = parse(*(line(body=mark, author=mark, subreddit="") for mark in marks))
    assert [row["body"] for row in rows] == list(marks)
    assert rejects == []


@pytest.mark.parametrize("ending", [b"\n", b""])
@pytest.mark.parametrize("block_bytes", [1, 8, 1000])
def test_any_line_of_a_chunk_is_found_by_its_number(ending, block_bytes):
    lines = [b"", b"ab", b"", b"", b"x" * 7, b"y" * 8, b"z" * 30, b"", b"end"]
    data = b"\n".join(lines) + ending
    blocks = (data[at : at + block_bytes] for at in range(0, len(data), block_bytes))
    (chunk,) = chunks.cut_chunks(blocks, chunks.FileSummary())
    assert chunk.lines == len(lines)
    for known in (chunk, Chunk(data, 1, len(lines))):  # with and without the blocks' newlines
        assert parse_module._pick_lines(known, range(len(lines))) == lines
        assert parse_module._pick_lines(known, [4]) == [lines[4]]


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["t1_a", "t3_b", "t1_1", "[deleted]", "true", "12", "-1.5e3", "[1]"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["id", "link_id", "parent_id", "body", "author", "subreddit", "created_utc", "score"]
        ),
        values,
    )
)
def test_both_parsers_agree_on_any_fields(fields):
    one = json.dumps(GOOD | fields).encode()
    rows, rejects, _ = parse(one)
    slow = careful(one)
    if isinstance(slow, Reject):
        assert [r.reason for r in rejects] == [slow.reason]
    else:
        (fast,) = rows
        # created_utc may be any JSON value; only its number matters later.
        assert {**fast, "created_utc": 0} == {**slow, "created_utc": 0}
