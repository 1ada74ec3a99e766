"""Texts are plain lines or one JSON field, read from any codec."""

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.texts import TextSummary, read_texts
from rejoinder.pipelines.testing import COMPRESS


def texts(path, key):
    summary = TextSummary()
    return list(read_texts(str(path), key, summary)), summary


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_field_is_read_from_every_codec(tmp_path, ending):
    lines = b'{"body": "one"}\n{"body": "tw\\u00f6"}\n{"id": 3}\n{"body": ""}\n{"body": 4}\n'
    (tmp_path / f"x.json{ending}").write_bytes(COMPRESS[ending](lines))
    found, summary = texts(tmp_path / f"x.json{ending}", "body")
    assert found == ["one", "twö"]
    assert (summary.lines, summary.texts, summary.rejects.total()) == (5, 2, 0)


def test_plain_lines_keep_their_bytes_and_blank_ones_are_left_out(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"one \r\n\ntwo \xff\nlast")
    found, summary = texts(tmp_path / "x.txt", None)
    assert found == ["one \r", "two \ufffd", "last"]
    assert (summary.lines, summary.texts) == (4, 3)


REJECTED = {
    "broken_json": b"{",
    "not_an_object": b'["body"]',
    "invalid_utf8": b'{"body": "\xff"}',
    "lone_surrogate": b'{"body": "\\ud800"}',
    "nul": b'{"body": "\\u0000"}',
}


@pytest.mark.parametrize("reason", REJECTED)
def test_lines_that_the_job_rejects_give_no_text(tmp_path, reason):
    path = tmp_path / "x"
    path.write_bytes(REJECTED[reason] + b'\n \n{"body": "text"}\n')
    found, summary = texts(path, "body")
    assert (found, summary.rejects) == (["text"], {reason: 1})


def test_a_line_that_is_too_long_is_a_reject(tmp_path, monkeypatch):
    from rejoinder.pipelines.dumps import chunks

    monkeypatch.setitem(chunks.read_chunks.__kwdefaults__, "chunk_bytes", 100)
    (tmp_path / "x").write_bytes(b"before\n" + b"y" * 200 + b"\nafter\n")
    found, summary = texts(tmp_path / "x", None)
    assert (found, summary.rejects) == (["before", "after"], {"line_too_long": 1})


def test_a_file_without_the_field_is_an_error(tmp_path):
    (tmp_path / "x").write_bytes(b'{"text": "one"}\n{"text": "two"}\n')
    with pytest.raises(UserError, match=r"x: none of its 2 lines .* with text in 'body'"):
        texts(tmp_path / "x", "body")
    (tmp_path / "empty").touch()
    assert texts(tmp_path / "empty", "body")[0] == []


def test_damage_is_an_error(tmp_path):
    (tmp_path / "x.gz").write_bytes(COMPRESS[".gz"](b"text\n" * 1000)[:-12])
    with pytest.raises(UserError, match=r"x\.gz: truncated gzip archive at byte offset"):
        texts(tmp_path / "x.gz", None)
