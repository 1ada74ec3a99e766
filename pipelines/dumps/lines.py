"""Lines of a dump: their JSON values, and why a line is rejected."""

import json
import re
from dataclasses import dataclass
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_EXCERPT_BYTES = 120


@dataclass(frozen=True)
class Reject:
    """A rejected line.

    Attributes:
        line: Line number in the file, from 1.
        reason: Name of the counter, e.g. `broken_json`.
        excerpt: Beginning of the line as printable text.
    """

    line: int
    reason: str
    excerpt: str


class BadLineError(Exception):
    """The reason why a line is rejected: the name of a counter."""


def excerpt(line: bytes) -> str:
    """Returns the beginning of a line as printable text."""
    return line[:_EXCERPT_BYTES].decode("utf-8", "backslashreplace")


def parse_json(line: bytes) -> Any:
    """Parses one line; of equal keys in an object the first counts.

    Raises:
        BadLineError: the line is not UTF-8 or not JSON, or holds a NUL byte.
    """
    if b"\0" in line:
        raise BadLineError("nul")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadLineError("invalid_utf8") from error
    try:
        return json.loads(text, object_pairs_hook=_keep_first)
    except (ValueError, RecursionError) as error:
        raise BadLineError("broken_json") from error


def _keep_first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def check_text(text: str) -> str:
    """Returns `text` unchanged if UTF-8 can store it and every reader accepts it.

    Raises:
        BadLineError: the text holds NUL or a lone surrogate.
    """
    if "\0" in text:
        raise BadLineError("nul")
    if _SURROGATE.search(text):
        raise BadLineError("lone_surrogate")
    return text
