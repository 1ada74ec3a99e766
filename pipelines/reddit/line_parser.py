"""Reads one line of a dump carefully: the path for lines that the columnar parser does not take.

For a line that both paths accept they must agree (`tests/pipelines/test_parse.py`
holds them to it), because which of the two a line takes may depend on its neighbours.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

# Everything that is read from a comment.
Comment = dict[str, str | None]

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIX = re.compile(r"t[0-9]_")
_SURROGATE = re.compile("[\ud800-\udfff]")
_EXCERPT_CHARACTERS = 120


@dataclass(frozen=True)
class Reject:
    """A line that is no comment: its number (from 1), why, and how it begins."""

    line: int
    reason: str
    excerpt: str


class BadLineError(Exception):
    """The reason a line is refused: a counter's name."""


def excerpt(line: bytes) -> str:
    """Returns the beginning of a line as printable text."""
    return line[:_EXCERPT_CHARACTERS].decode("utf-8", "backslashreplace")


def parse_line(line: bytes, number: int) -> Comment | Reject | None:
    """Returns the comment of one line, why it is none, or None for a blank line."""
    stripped = line.strip(b" \t\r\n")
    if not stripped:
        return None
    try:
        value = parse_json(stripped)
        if not isinstance(value, dict):
            raise BadLineError("not_an_object")
        return _comment(value)
    except BadLineError as error:
        return Reject(number, str(error), excerpt(stripped))


def parse_json(line: bytes) -> Any:
    """Returns the JSON value of a line.

    Raises:
        BadLineError: it is none.
    """
    if b"\0" in line:
        raise BadLineError("nul")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLineError("invalid_utf8") from error
    try:
        return json.loads(text, object_pairs_hook=_first_wins)
    except (ValueError, RecursionError) as error:
        raise BadLineError("broken_json") from error


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _comment(value: dict[str, Any]) -> Comment:
    if "parent_id" not in value and "title" in value and "link_id" not in value:
        raise BadLineError("submission")
    thread = strip_prefix(_text(value, "link_id"))
    comment = strip_prefix(_text(value, "id"))
    if not thread or not comment:
        raise BadLineError("no_link_id" if not thread else "no_id")
    created = value.get("created_utc")
    return {
        "id": comment,
        "thread": thread,
        "parent": _parent(value.get("parent_id"), thread),
        "body": _text(value, "body", empty=True),
        "author": _text(value, "author", default="[deleted]", empty=True),
        "subreddit": _text(value, "subreddit", default="", empty=True),
        "created_utc": None if created is None or isinstance(created, bool) else str(created),
        "score": _number(value.get("score")),
        "over_18": str(value.get("over_18")).lower(),
    }


def _number(value: Any) -> str | None:
    return None if value is None or isinstance(value, bool) else str(value)


def _text(
    value: dict[str, Any], key: str, *, default: str | None = None, empty: bool = False
) -> str:
    text = value.get(key)
    if text is None:
        if default is None:
            raise BadLineError(f"no_{key}")
        return default
    if not isinstance(text, str):
        raise BadLineError("wrong_type")
    if not text and not empty:
        raise BadLineError(f"no_{key}")
    return check_text(text)


def check_text(text: str) -> str:
    """Returns `text` if it can be stored as UTF-8 without surprises."""
    if "\0" in text:
        raise BadLineError("nul")
    if _SURROGATE.search(text):
        raise BadLineError("lone_surrogate")
    return text


def strip_prefix(raw_id: str) -> str:
    """Returns an id without its kind (`t1_` comment, `t3_` submission …)."""
    return raw_id[3:] if _PREFIX.match(raw_id) else raw_id


def _parent(raw: Any, thread: str) -> str | None:
    """Returns the parent comment's id, None for a comment on the submission itself.

    The old API wrote null for the submission and the number behind a comment's
    base-36 id. A *string* of digits is base 36 already.
    """
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise BadLineError("wrong_type")
    if isinstance(raw, int):
        if raw < 0:
            raise BadLineError("wrong_type")
        return to_base36(raw)
    raw = check_text(raw)
    if raw.startswith("t3_") or not raw:
        return None
    parent = strip_prefix(raw)
    return None if parent == thread and parent == raw else parent


def to_base36(number: int) -> str:
    """Returns a non-negative number in lower-case base 36, as Reddit writes ids."""
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _BASE36[rest] + digits
        if not number:
            return digits
