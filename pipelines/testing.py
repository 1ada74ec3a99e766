"""Generated dumps in pushshift's format for tests and benchmarks, and the pairs in them."""

import bz2
import gzip
import json
import lzma
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import zstandard

# Functions that compress a whole file, by file ending.
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".gz": gzip.compress,
}


def comment(number: int, parent: str | None = None, thread: str = "t", **fields: Any) -> dict:
    """Returns a comment in pushshift's format.

    Args:
        number: The id is `c<number>`.
        parent: Id of the comment that it answers; None answers the submission.
        thread: Id of the submission, without prefix.
        **fields: Fields to add or replace.
    """
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
    """Returns `threads * replies` comments; each answers the previous one of its thread."""
    lines = []
    for thread in range(threads):
        first = thread * replies
        for number in range(first, first + replies):
            parent = f"c{number - 1}" if number > first else None
            lines.append(comment(number, parent, thread=f"t{thread}"))
    return lines


def ndjson(lines: Iterable[dict | bytes | str]) -> bytes:
    """Returns lines as the bytes of a dump; lines of type bytes or str are not encoded."""
    parts = []
    for line in lines:
        if isinstance(line, dict):
            line = json.dumps(line)
        parts.append(line if isinstance(line, bytes) else line.encode())
    return b"".join(part + b"\n" for part in parts)


def zst_blocks_file(lines: Sequence[dict], rows: int = 50) -> bytes:
    """Returns comments as the bytes of a `.zst_blocks` file.

    Args:
        lines: The comments.
        rows: Rows of a block.
    """
    stored = b""
    for start in range(0, len(lines), rows):
        encoded = [json.dumps(line).encode() for line in lines[start : start + rows]]
        numbers, offset = [len(encoded)], 0
        for row in encoded:
            numbers += [offset, len(row)]
            offset += len(row)
        block = b"".join(number.to_bytes(4, "little") for number in numbers) + b"".join(encoded)
        frame = COMPRESS[".zst"](block)
        stored += len(frame).to_bytes(4, "little") + frame
    return stored


def awkward(lines: int, seed: int) -> list[dict | bytes]:
    """Returns lines with all known defects of dumps, with ids from a small range.

    Repeated ids, self-loops, cycles, orphans, replies to filtered comments, filtered
    texts, blank lines, and about one line in twenty that is not a comment.
    """
    choose = random.Random(seed)
    ids = max(lines // 2, 4)
    bodies = ["[deleted]", "[removed]", "short", "long " * 40, "&lt;an entity&gt;", "not\x00this"]
    found: list[dict | bytes] = []
    for _ in range(lines):
        number = choose.randrange(ids)
        parent = choose.choice([None, "gone", *(f"c{choose.randrange(ids)}" for _ in range(6))])
        made = comment(number, parent, thread=f"t{number % 7}")
        if choose.random() < 0.3:
            made["body"] = choose.choice(bodies)
        elif choose.random() < 0.2:
            made["body"] += f", version {choose.randrange(3)}"
        bad = [b"", b"{broken", b"\xff\xfe", b"[]", b'{"id": "c1"}']
        found.append(choose.choice(bad) if choose.random() < 0.05 else made)
    return found


def expected_pairs(lines: Iterable[dict | bytes]) -> set[tuple[str, str, str]]:
    """Returns (thread, context id, response id) of the `polyai` preset's pairs, by plain loops.

    Args:
        lines: Lines from `comment` or `awkward`: their ids have prefixes, and the id
            determines author and subreddit.
    """
    winners: dict[tuple[str, str], tuple] = {}
    for line in lines:
        if isinstance(line, dict) and "\0" not in line["body"]:
            reason, body = _filter_reason(line["body"]), line["body"]
            parent = line["parent_id"][3:] if line["parent_id"].startswith("t1_") else None
            row = (reason, "" if reason else body, parent is None, parent)
            key = (line["link_id"][3:], line["id"])
            winners[key] = min(winners.get(key, row), row)
    above = {key: (key[0], row[3]) for key, row in winners.items() if row[3] is not None}
    passed = {key for key, row in winners.items() if row[0] == 0}
    return {
        (thread, above[thread, response][1], response)
        for thread, response in passed & above.keys()
        if above[thread, response] in passed and _has_no_cycle(above, (thread, response))
    }


def _filter_reason(body: str) -> int:
    filtered = (body == "[deleted]", body == "[removed]", len(body) < 9, len(body) > 127)
    return 1 + filtered.index(True) if any(filtered) else 0


def _has_no_cycle(above: dict, at: tuple) -> bool:
    """Whether the ancestors of a comment end at the submission or a missing comment."""
    seen = set()
    while at in above and at not in seen:
        seen.add(at)
        at = above[at]
    return at not in seen
