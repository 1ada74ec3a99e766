"""Small dumps, a small tokenizer and the command run in this process."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

TEXTS = [
    "the quick brown fox jumps over the lazy dog and says hello to everybody",
    "what a great comment this is, thank you so much for writing it down",
    "I do not agree with that at all, please explain how you came to it",
] * 20


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> str:
    from models.vocab import train_wordpiece

    folder = tmp_path_factory.mktemp("tokenizer")
    train_wordpiece(TEXTS, 300, folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _own_threads(monkeypatch):
    """The command narrows its process to one thread; these tests share theirs with others."""
    monkeypatch.setattr("pipelines.runners.limit_threads", lambda: None)


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


@pytest.fixture
def preprocess(tmp_path, tokenizer_folder) -> Callable[..., Path]:
    """Returns a function that runs the command on files and returns the corpus folder."""
    from pipelines import preprocess as command

    def run(*inputs: Path | str, output: str = "corpus", arguments: Iterable[str] = ()) -> Path:
        folder = tmp_path / output
        command.main(
            [
                "--input",
                *map(str, inputs),
                "--output",
                str(folder),
                "--tokenizer",
                tokenizer_folder,
                "--keep-text",
                "--quiet",
                *arguments,
            ]
        )
        return folder

    return run
