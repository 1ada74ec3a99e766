"""Writes a generated comment dump in the format of pushshift: JSON lines in a zstd frame.

Threads have the shape of real ones: several top-level comments, and replies to
replies. The dump also has the irregular rows of real dumps: deleted and removed
bodies, bodies too short or too long for a pair, repeated ids, replies without a
parent, older field types, and lines that are not JSON.
Every reply answers the question in its parent (`rejoinder.quickstart.phrases`), so a
model can learn the relation and keyword overlap cannot.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from rejoinder.corpus.base36 import to_base36
from rejoinder.quickstart.phrases import (
    HINT_VERBS,
    QUESTIONS,
    REPLIES,
    SMALL_TALK,
    TOPICS,
    TROUBLES,
    Topic,
    Trouble,
)

FIRST_ID = 0xC0FFEE
FIRST_SECOND = 1_420_070_400  # 2015-01-01 UTC
# log2 of the zstd window in bytes. Pushshift uses windows so long that readers must allow them.
WINDOW_LOG = 27

Comment = dict[str, Any]


def generate_comments(threads: int, seed: int) -> Iterator[Comment]:
    """Yields the comments of `threads` threads in order of time.

    The same seed gives the same comments.
    """
    rng = random.Random(seed)
    next_id, second = FIRST_ID, FIRST_SECOND
    for thread in range(threads):
        link_id = f"t3_{to_base36(FIRST_ID + thread)}"
        # (fullname of the parent, depth, question that a reply has to answer)
        open_questions: list[tuple[str, int, tuple[Topic, Trouble] | None]] = [
            (link_id, 0, None) for _ in range(rng.randint(1, 3))
        ]
        subreddit = rng.choice(TOPICS).subreddit
        while open_questions:
            parent_id, depth, question = open_questions.pop(0)
            asks = question is None or (depth < 5 and rng.random() < 0.65)
            follow_up = (rng.choice(TOPICS), rng.choice(TROUBLES)) if asks else None
            parts = [_reply(rng, *question)] if question else []
            parts += [_question(rng, *follow_up)] if follow_up else []
            next_id, second = next_id + rng.randint(1, 9), second + rng.randint(0, 40)
            name = to_base36(next_id)
            yield {
                "author": f"{rng.choice(HINT_VERBS)}_{rng.randint(1, 4000)}",
                "body": _replace_body(rng, " ".join(parts)),
                "controversiality": 0,
                "created_utc": second,
                "edited": False,
                "gilded": 0,
                "id": name,
                "link_id": link_id,
                "name": f"t1_{name}",
                "parent_id": parent_id,
                "retrieved_on": second + 2_592_000,
                "score": rng.randint(-3, 40),
                "subreddit": subreddit,
                "subreddit_id": "t5_2qh0u",
            }
            if follow_up:
                replies = rng.choice((1, 1, 2))
                open_questions += [(f"t1_{name}", depth + 1, follow_up)] * replies


def write_dump(path: Path, *, threads: int, seed: int = 0) -> int:
    """Writes a dump; the same arguments give the same bytes.

    Args:
        path: The file; its folder is made.
        threads: Number of threads; each has about 12 comments.
        seed: Seed of the random choices.

    Returns:
        The number of lines written.
    """
    rng = random.Random(seed + 1)
    lines = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=WINDOW_LOG)
    with (
        path.open("wb") as file,
        zstandard.ZstdCompressor(compression_params=parameters).stream_writer(file) as stream,
    ):
        for comment in generate_comments(threads, seed):
            for line in _rows(rng, comment):
                stream.write(line + b"\n")
                lines += 1
    return lines


def _question(rng: random.Random, topic: Topic, trouble: Trouble) -> str:
    asked = rng.choice(trouble.asked)
    return rng.choice(QUESTIONS).format(
        thing=rng.choice(topic.asked), trouble=asked, trouble_first=asked[0].upper() + asked[1:]
    )


def _reply(rng: random.Random, topic: Topic, trouble: Trouble) -> str:
    fix = rng.choice(trouble.answered)
    return rng.choice(REPLIES).format(
        fix=fix,
        fix_first=fix[0].upper() + fix[1:],
        hint=rng.choice(topic.answered),
        hint_verb=rng.choice(HINT_VERBS),
    )


def _replace_body(rng: random.Random, body: str) -> str:
    """Returns `body`, or, for 8 % of the comments, a deleted, too short or too long one."""
    draw = rng.random()
    if draw < 0.02:
        return "[deleted]"
    if draw < 0.03:
        return "[removed]"
    if draw < 0.05:
        return "lol"
    if draw < 0.07:
        return f"{body} {' '.join(rng.choices(SMALL_TALK, k=9))}"
    if draw < 0.08:
        return rng.choice(SMALL_TALK)
    return body


def _rows(rng: random.Random, comment: Comment) -> list[bytes]:
    """Returns the lines of one comment: its JSON, rarely followed by an irregular line."""
    row = dict(comment)
    draw = rng.random()
    if draw < 0.3:  # the older schema: times as strings, no retrieved_on, scores hidden
        row["created_utc"] = str(row["created_utc"])
        del row["retrieved_on"]
        row["score"] = None
    rows = [json.dumps(row, separators=(",", ":")).encode()]
    if draw > 0.999:
        rows.append(rows[0])  # a repeated id
    elif draw > 0.998:
        rows.append(rows[0][: len(rows[0]) // 2])  # a line cut short
    elif draw > 0.997:
        rows.append(b"")
    elif draw > 0.996:  # a reply whose parent is in no dump
        rows.append(json.dumps(row | {"id": f"{row['id']}z", "parent_id": "t1_zzzzzz"}).encode())
    return rows
