"""Reads files of sentence pairs with scores, in the layouts of the usual data sets.

Layouts:

    CSV without header      sentence1, sentence2, score            STS-B (stsb-en-test.csv)
    STS-B's own TSV         genre, file, year, id, score, s1, s2   sts-test.csv
    TSV or CSV with header  sentence_A/sentence1, …, score         SICK, Hugging Face exports
    SemEval                 STS.input.X.txt and STS.gs.X.txt       STS12 to STS16
    JSON lines              {"sentence1", "sentence2", "score"}    mteb
"""

import csv
import gzip
import json
import posixpath
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.errors import UserError

_FIRST = ("sentence1", "sentence_a", "sent1", "text1")
_SECOND = ("sentence2", "sentence_b", "sent2", "text2")
_SCORE = ("score", "relatedness_score", "similarity", "similarity_score", "label")


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of sentences with human scores.

    Attributes:
        name: Name of the data set, from its file's name.
        first: The first sentence of each pair.
        second: The second sentence of each pair.
        scores: The score of each pair; larger is more similar.
    """

    name: str
    first: list[str]
    second: list[str]
    scores: list[float]


def read_scored_pairs(path: str) -> ScoredPairs:
    """Reads one file, plain or .gz, in any of the layouts above.

    Raises:
        UserError: the file is missing, has none of these layouts, or has a malformed row;
            the message names the line.
    """
    base = posixpath.basename(path).removesuffix(".gz")
    rows = list(_rows(path, base))
    if not rows:
        raise UserError(f"{path}: has no scored pairs")
    first, second, scores = zip(*rows, strict=True)
    name = posixpath.splitext(base)[0].removeprefix("STS.input.")
    return ScoredPairs(name, list(first), list(second), list(scores))


def _rows(path: str, base: str) -> Iterator[tuple[str, str, float]]:
    lines = read_lines(path)
    if base.endswith((".jsonl", ".ndjson")):
        yield from _json_rows(path, lines)
    elif base.startswith("STS.input."):
        yield from _semeval_rows(path, lines)
    else:
        yield from _table_rows(path, lines)


def read_lines(path: str) -> list[str]:
    """Returns the lines of a text file, plain or .gz, split at newlines only.

    Raises:
        UserError: the file cannot be opened, or is not UTF-8.
    """
    data = storage.read_bytes(path)
    try:
        text = (gzip.decompress(data) if path.endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    return text.replace("\r\n", "\n").rstrip("\n").split("\n")


def _score(text: object, path: str, line: int) -> float:
    try:
        return float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}:{line}: the score must be a number, got {text!r}") from error


def _json_rows(path: str, lines: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    for number, line in enumerate(lines, start=1):
        try:
            row = {key.lower(): value for key, value in json.loads(line).items()}
            first, second, score = (
                row[next(name for name in names if name in row)]
                for names in (_FIRST, _SECOND, _SCORE)
            )
        except (ValueError, AttributeError, RuntimeError) as error:
            raise UserError(
                f"{path}:{number}: must be an object with sentence1, sentence2 and score"
            ) from error
        yield str(first), str(second), _score(score, path, number)


def _semeval_rows(path: str, lines: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    folder, base = posixpath.split(path)
    gold = storage.join(folder, base.replace("STS.input.", "STS.gs.", 1))
    scores = read_lines(gold)
    if len(scores) != len(lines):
        raise UserError(f"{gold}: has {len(scores)} lines, {path} has {len(lines)}")
    for number, (line, score) in enumerate(zip(lines, scores, strict=True), start=1):
        # The sets of 2015 and 2016 hold pairs that nobody scored; their score line is empty.
        if score.strip():
            columns = line.split("\t")
            if len(columns) < 2:
                raise UserError(f"{path}:{number}: must be two sentences separated by a tab")
            yield columns[0], columns[1], _score(score, gold, number)


def _table_rows(path: str, lines: Sequence[str]) -> Iterator[tuple[str, str, float]]:
    tabs = "\t" in lines[0]
    # In tab-separated sets a quote is a character of the sentence.
    reader = (
        csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(lines)
    )
    columns: tuple[int, int, int] | None = None
    for row in reader:
        number = reader.line_num
        if columns is None:
            columns = _header(row)
            if columns is not None:
                continue
            if tabs and len(row) >= 7:
                columns = (5, 6, 4)
            elif len(row) == 3:
                columns = (0, 1, 2)
            else:
                raise UserError(
                    f"{path}: unknown layout; give sentence1,sentence2,score as CSV or TSV"
                )
        if len(row) <= max(columns):
            raise UserError(f"{path}:{number}: has {len(row)} columns, needs {max(columns) + 1}")
        first, second, score = (row[column] for column in columns)
        yield first, second, _score(score, path, number)


def _header(row: Sequence[str]) -> tuple[int, int, int] | None:
    names = [name.strip().lower() for name in row]
    found = [
        next((names.index(known) for known in group if known in names), None)
        for group in (_FIRST, _SECOND, _SCORE)
    ]
    return None if None in found else (found[0], found[1], found[2])  # type: ignore[return-value]
