"""Paraphrase detection on tweets: does cosine rank paraphrases above other pairs.

Reads these layouts:

    PIT-2015 (SemEval-2015 task 1)  topic id, topic, s1, s2, label, tags    tab-separated
    Twitter URL corpus              s1, s2, label, url                      tab-separated
    all others                      sentence1, sentence2, label (0 or 1)    see sentence_pairs.py

The label "(3, 2)" means 3 votes for and 2 against, "(4, 6)" means 4 votes of 6; a single digit
0 to 5 is an expert's label. Debatable pairs are left out, as the authors of the sets advise.
"""

import re
from dataclasses import dataclass

import numpy as np

from rejoinder.errors import UserError
from rejoinder.evaluation.intervals import Interval, bootstrap
from rejoinder.evaluation.metrics import average_precision, paired_cosine
from rejoinder.evaluation.sentence_pairs import ScoredPairs, read_lines, read_scored_pairs
from rejoinder.evaluation.sts import Encode

_VOTES = re.compile(r"\((\d), ?(\d)\)")


@dataclass(frozen=True)
class Paraphrase:
    """Average precision of cosine at finding paraphrases, in [0, 1].

    Attributes:
        positives: Paraphrases among the `pairs`; a random ranking scores their share.
    """

    name: str
    pairs: int
    positives: int
    average_precision: float
    interval: Interval


def evaluate_paraphrase(data: ScoredPairs, encode: Encode) -> Paraphrase:
    """Returns the average precision of ranking the pairs of `data` by cosine."""
    labels = np.array(data.scores)
    cosine = paired_cosine(encode(data.first), encode(data.second))
    return Paraphrase(
        name=data.name,
        pairs=len(labels),
        positives=int(labels.sum()),
        average_precision=float(average_precision(labels, cosine)),
        interval=bootstrap(average_precision, (labels, cosine), resamples=200),
    )


def read_labelled_pairs(path: str) -> ScoredPairs:
    """Reads one file in any of the layouts above.

    Returns:
        Pairs whose `scores` are 0 or 1.

    Raises:
        UserError: the file cannot be read, or does not contain both labels.
    """
    first_line = read_lines(path)[0].split("\t")
    if len(first_line) >= 7:
        columns = (2, 3, 4)
    elif len(first_line) in (3, 4) and _VOTES.fullmatch(first_line[2]):
        columns = (0, 1, 2)
    else:
        return _checked(path, read_scored_pairs(path))
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        row = line.split("\t")
        if len(row) <= columns[2]:
            raise UserError(f"{path}:{number}: has {len(row)} columns, needs {columns[2] + 1}")
        label = paraphrase_label(row[columns[2]])
        if label is not None:
            rows.append((row[columns[0]], row[columns[1]], label))
    firsts, seconds, labels = zip(*rows, strict=True) if rows else ((), (), ())
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return _checked(path, ScoredPairs(name, list(firsts), list(seconds), list(labels)))


def paraphrase_label(text: str) -> float | None:
    """Returns 1.0 for a paraphrase, 0.0 for other pairs, None for a debatable or unknown label."""
    votes = _VOTES.fullmatch(text.strip())
    if votes and votes[2] == "6":
        share = int(votes[1])
        return None if share == 3 else float(share > 3)
    if votes:
        return None if votes[1] == "2" else float(int(votes[1]) > 2)
    if text.strip() in ("0", "1", "2", "4", "5"):
        return float(int(text) > 3)
    return None


def _checked(path: str, data: ScoredPairs) -> ScoredPairs:
    if sorted(set(data.scores)) != [0.0, 1.0]:
        raise UserError(f"{path}: needs pairs that are paraphrases (1) and pairs that are not (0)")
    return data
