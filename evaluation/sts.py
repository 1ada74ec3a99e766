"""Semantic textual similarity: pairs of sentences that people have scored.

Reads the layouts in which the usual sets are handed out:

    CSV without header      sentence1, sentence2, score            STS-B (stsb-en-test.csv)
    STS-B's own TSV         genre, file, year, id, score, s1, s2   sts-test.csv
    TSV or CSV with header  sentence_A/sentence1, …, score         SICK, Hugging Face exports
    SemEval                 STS.input.X.txt beside STS.gs.X.txt    STS12 to STS16
    JSON lines              {"sentence1", "sentence2", "score"}    mteb
"""

import csv
import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.errors import UserError
from rejoinder.evaluation.intervals import Interval, bootstrap
from rejoinder.evaluation.metrics import paired_cosine, pearson, spearman

Encode = Callable[[Sequence[str]], np.ndarray]

_FIRST = ("sentence1", "sentence_a", "sent1", "text1")
_SECOND = ("sentence2", "sentence_b", "sent2", "text2")
_SCORE = ("score", "relatedness_score", "similarity", "similarity_score", "label")


@dataclass(frozen=True)
class ScoredPairs:
    """Sentences `first[i]`, `second[i]` with people's score `scores[i]`, larger is more alike."""

    name: str
    first: list[str]
    second: list[str]
    scores: list[float]


@dataclass(frozen=True)
class Similarity:
    """Correlation of cosine with people's scores, times 1 (not 100)."""

    name: str
    pairs: int
    pearson: float
    spearman: float
    spearman_interval: Interval


def evaluate_similarity(data: ScoredPairs, encode: Encode) -> Similarity:
    """Returns how well the cosine of embeddings follows the scores of `data`."""
    cosine = paired_cosine(encode(data.first), encode(data.second))
    return Similarity(
        name=data.name,
        pairs=len(data.scores),
        pearson=float(pearson(cosine, data.scores)),
        spearman=float(spearman(cosine, data.scores)),
        spearman_interval=bootstrap(spearman, (cosine, data.scores)),
    )


def read_scored_pairs(path: str) -> ScoredPairs:
    """Reads one file, plain or .gz, in any of the layouts above.

    Raises:
        UserError: no such file, no known layout, or a row that does not fit; with its line.
    """
    base = os.path.basename(path).removesuffix(".gz")
    rows = list(_rows(path, base))
    if not rows:
        raise UserError(f"{path}: holds no scored pairs")
    first, second, scores = zip(*rows, strict=True)
    name = os.path.splitext(base)[0].removeprefix("STS.input.")
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
        UserError: no such file, or not UTF-8.
    """
    try:
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
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
    folder, base = os.path.split(path)
    gold = os.path.join(folder, base.replace("STS.input.", "STS.gs.", 1))
    scores = read_lines(gold)
    if len(scores) != len(lines):
        raise UserError(f"{gold}: has {len(scores)} lines, {path} has {len(lines)}")
    for number, (line, score) in enumerate(zip(lines, scores, strict=True), start=1):
        # 2015 and 2016 hand out more pairs than were scored; the others have an empty line.
        if score.strip():
            columns = line.split("\t")
            if len(columns) < 2:
                raise UserError(f"{path}:{number}: must be two sentences with a tab between")
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
