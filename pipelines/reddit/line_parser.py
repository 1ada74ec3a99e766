"""Parses one line of a comment dump, for lines that the columnar parser does not accept.

Both parsers must agree on every line that both accept
(`tests/pipelines/reddit/test_parse.py` compares them), because the neighbours of a
line may decide which parser reads it.
"""

import re
from typing import Any

from rejoinder.corpus.base36 import to_base36
from rejoinder.pipelines.dumps.lines import BadLineError, Reject, check_text, excerpt, parse_json
from rejoinder.pipelines.reddit.removals import removal_of

# The fields of a comment that the job reads.
Comment = dict[str, str | None]

# Before the id of a submission, also in the rows of the shuffle.
SUBMISSION_PREFIX = "t3_"
# What Reddit's API gives in place of a text that is gone.
_GONE = ("[deleted]", "[removed]")
_PREFIX = re.compile(r"t[0-9]_")


def parse_line(line: bytes, number: int, submissions: str = "") -> Comment | Reject | None:
    """Parses one line into a Comment, a Reject, or None if it is blank.

    Args:
        line: The line, with or without its newline.
        number: Its number in the file, from 1.
        submissions: The text of a submission: `title`, `title+selftext`, or "" to reject it.
    """
    stripped = line.strip(b" \t\r\n")
    if not stripped:
        return None
    try:
        value = parse_json(stripped)
        if not isinstance(value, dict):
            raise BadLineError("not_an_object")
        if _is_submission(value):
            if not submissions:
                raise BadLineError("submission")
            return _submission(value, with_selftext=submissions == "title+selftext")
        return _comment(value)
    except BadLineError as error:
        return Reject(number, str(error), excerpt(stripped))


def _is_submission(value: dict[str, Any]) -> bool:
    return "parent_id" not in value and "title" in value and "link_id" not in value


def _submission(value: dict[str, Any], *, with_selftext: bool) -> Comment:
    """Returns a submission as the first comment of its thread."""
    thread = strip_prefix(_text(value, "id"))
    if not thread:
        raise BadLineError("no_id")
    body = _text(value, "title", empty=True)
    selftext = _text(value, "selftext", default="", empty=True) if with_selftext else ""
    if selftext and selftext not in _GONE:
        body = f"{body}\n\n{selftext}"
    return {
        "id": submission_id(thread),
        "thread": thread,
        "parent": None,
        "body": body,
        **_attributes(value),
    }


def submission_id(thread: str) -> str:
    """Returns the id of the row of a thread's submission, which no comment has."""
    return f"{SUBMISSION_PREFIX}{thread}"


def _comment(value: dict[str, Any]) -> Comment:
    thread = strip_prefix(_text(value, "link_id"))
    comment = strip_prefix(_text(value, "id"))
    if not thread or not comment:
        raise BadLineError("no_link_id" if not thread else "no_id")
    return {
        "id": comment,
        "thread": thread,
        "parent": _parent(value.get("parent_id"), thread),
        "body": _text(value, "body", empty=True),
        **_attributes(value),
    }


def _attributes(value: dict[str, Any]) -> Comment:
    """Returns the fields that comments and submissions have alike."""
    created = value.get("created_utc")
    return {
        "author": _text(value, "author", default="[deleted]", empty=True),
        "subreddit": _text(value, "subreddit", default="", empty=True),
        "created_utc": None if created is None or isinstance(created, bool) else str(created),
        "score": _number(value.get("score")),
        "over_18": str(value.get("over_18")).lower(),
        "removal": removal_of(value.get("_meta")),
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


def strip_prefix(raw_id: str) -> str:
    """Returns an id without the prefix of its kind (`t1_` comment, `t3_` submission)."""
    return raw_id[3:] if _PREFIX.match(raw_id) else raw_id


def _parent(raw: Any, thread: str) -> str | None:
    """Returns the id of the parent comment, None if the parent is the submission.

    The old API wrote null for the submission and, for a comment, the number that
    its base-36 id encodes. A *string* of digits is base 36 already.
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
    if raw.startswith(SUBMISSION_PREFIX) or not raw:
        return None
    parent = strip_prefix(raw)
    return None if parent == thread and parent == raw else parent
