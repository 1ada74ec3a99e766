"""Finds pairs that contain a text of an evaluation: `--decontaminate FILES`.

Word n-grams as in datatrove's decontamination
(https://github.com/huggingface/datatrove, `NGramsDecontFilter`), with two differences because
comments are short: a text of fewer than `WORDS` words counts as a whole, and one of fewer than
`_KEY` words only if it is the whole comment.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from rejoinder import storage
from rejoinder.errors import UserError

# Words of an n-gram, as in datatrove.
WORDS = 12
_KEY = 5
_WORD = re.compile(r"\w+")
_LETTER = re.compile(r"[^\W\d_]")


def normalize(text: str) -> list[str]:
    """Returns the words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def read_grams(paths: Sequence[str]) -> tuple[str, ...]:
    """Reads the texts of evaluation files.

    Args:
        paths: CSV files, TSV files, JSON lines or plain lines. Each field or string with two
            words or more is a text.

    Returns:
        Their n-grams, normalized, each once and sorted.

    Raises:
        UserError: A file cannot be read or has no texts.
    """
    found: set[str] = set()
    for path in paths:
        if not storage.exists(path):
            raise UserError(f"--decontaminate {path}: does not exist")
        try:
            content = storage.read_bytes(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(
                f"--decontaminate {path}: is not UTF-8; give CSV, TSV, JSON lines or plain lines"
            ) from None
        grams = {gram for text in _texts(path, content) for gram in _grams(normalize(text))}
        if not grams:
            raise UserError(f"--decontaminate {path}: has no text of two words or more")
        found |= grams
    return tuple(sorted(found))


def _texts(path: str, content: str) -> Iterator[str]:
    lines = content.splitlines()
    if path.lower().endswith(".csv"):
        for row in csv.reader(lines):
            yield from filter(_LETTER.search, row)
        return
    for line in lines:
        if line.startswith(("{", "[")):
            try:
                yield from _strings(json.loads(line))
                continue
            except (ValueError, RecursionError):
                pass  # a plain line that begins like JSON
        yield from filter(_LETTER.search, line.split("\t"))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _grams(words: Sequence[str]) -> Iterator[str]:
    if len(words) >= 2:
        for start in range(max(len(words) - WORDS, 0) + 1):
            yield " ".join(words[start : start + WORDS])


class Contamination:
    """Tells which texts contain an n-gram of an evaluation."""

    def __init__(self, grams: Iterable[str]) -> None:
        """Indexes n-grams, from `read_grams`, by their first words."""
        self._short: set[tuple[str, ...]] = set()
        self._by_key: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for gram in grams:
            words = tuple(gram.split(" "))
            if len(words) < _KEY:
                self._short.add(words)
            else:
                self._by_key.setdefault(words[:_KEY], []).append(words)

    def contains(self, text: str) -> bool:
        """Returns whether a text contains one."""
        words = tuple(normalize(text))
        if words in self._short:
            return True
        return any(
            words[start : start + len(gram)] == gram
            for start in range(len(words) - _KEY + 1)
            for gram in self._by_key.get(words[start : start + _KEY], ())
        )


@lru_cache(maxsize=1)
def contamination_of(grams: tuple[str, ...]) -> Contamination:
    """Returns the index of n-grams; a worker makes it once."""
    return Contamination(grams)
