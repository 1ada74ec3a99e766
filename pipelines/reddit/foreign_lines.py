"""Recognizes lines of other data sets, and says what to do with them."""

import re

from rejoinder.pipelines.dumps.lines import BadLineError, parse_json

# Bytes from the beginning of a file that are looked at.
_HEAD_BYTES = 64 << 10
_COMMENT = "id, link_id, parent_id, body, author and subreddit"
_LISTING = (
    "holds listings of Reddit's own API; give the comments alone, one JSON object per line, or a "
    "dump (docs/dumps.md)"
)
_COLUMNS = frozenset(
    ("id", "link_id", "parent_id", "body", "author", "subreddit", "created_utc", "score", "text")
)


def describe(data: bytes) -> str | None:
    """Describes lines that are not comments.

    Args:
        data: The beginning of a file of which most lines were rejected.

    Returns:
        What the file holds and what to do, as the end of a sentence about it; None if that
        is not known.
    """
    head = data[:_HEAD_BYTES].lstrip()
    line = head.split(b"\n", 1)[0].strip()
    try:
        value = parse_json(line)
    except BadLineError:
        return _describe_text(head, line.decode("utf-8", "replace"))
    if isinstance(value, list):
        value = dict.fromkeys(("context", "response")) if len(value) == 2 else {}
    return _describe_keys(value) if isinstance(value, dict) else None


def _describe_keys(value: dict[str, object]) -> str | None:
    keys = value.keys()
    if value.get("kind") == "Listing":
        return _LISTING
    if keys & {"conversation_id", "root"} and keys & {"reply-to", "reply_to"}:
        return (
            "holds utterances of ConvoKit; write conversation_id as link_id (with t3_ before it), "
            "reply-to as parent_id (with t1_), text as body, and speaker as author"
        )
    if {"context", "response"} <= keys:
        return "holds ready pairs; read it with `rejoinder pairs`"
    return None


def _describe_text(head: bytes, line: str) -> str | None:
    if re.match(rb'\{\s*"kind"\s*:\s*"Listing"', head):
        return _LISTING
    # A key on the next line: a dump of broken lines may have a lone brace, too.
    if re.match(rb'\{\s*\n\s*"|\[\s*\n\s*[\["{]', head):
        return "holds JSON over several lines; write each object on one line (jq -c .)"
    if line.startswith("{'"):
        return "holds Python dictionaries; write each with json.dumps"
    fields = {field.strip(" '\"\ufeff").lower() for field in re.split(r"[,;\t|]", line)}
    if len(fields & _COLUMNS) > 1:
        return f"is a table (CSV); convert it to JSON lines with the keys {_COMMENT}"
    return None
