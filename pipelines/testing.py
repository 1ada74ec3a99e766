"""Made-up dumps for tests and benchmarks, in pushshift's form."""

import json
from collections.abc import Iterable
from typing import Any


def comment(number: int, parent: str | None = None, thread: str = "t", **fields: Any) -> dict:
    """Returns a comment `c<number>`, as pushshift writes it, on `parent` or on the submission."""
    return {
        "id": f"c{number}",
        "link_id": f"t3_{thread}",
        "parent_id": f"t1_{parent}" if parent else f"t3_{thread}",
        "body": f"this is the comment number {number}",
        "author": f"author{number % 7}",
        "subreddit": ["news", "pics", "science"][number % 3],
        "created_utc": 1_420_070_400 + number,
        "score": number % 10,
    } | fields


def dialogue(threads: int, replies: int = 5) -> list[dict]:
    """Returns threads in which every comment answers the one before: `threads * replies` lines."""
    lines = []
    for thread in range(threads):
        first = thread * replies
        for number in range(first, first + replies):
            parent = f"c{number - 1}" if number > first else None
            lines.append(comment(number, parent, thread=f"t{thread}"))
    return lines


def ndjson(lines: Iterable[dict | bytes | str]) -> bytes:
    """Returns lines as the bytes of a dump; bytes and text are taken as they are."""
    parts = []
    for line in lines:
        if isinstance(line, dict):
            line = json.dumps(line)
        parts.append(line if isinstance(line, bytes) else line.encode())
    return b"".join(part + b"\n" for part in parts)
