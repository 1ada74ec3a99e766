"""Removes pairs from a shard: those whose context or response is forgotten.

In the other pairs the further contexts end before the first one that is forgotten, as they would
if the comment were not in the dumps.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus import features, reading, tfrecord
from rejoinder.corpus.examples import Spans
from rejoinder.errors import UserError
from rejoinder.pipelines.forgetting.names import Names
from rejoinder.pipelines.reddit.line_parser import SUBMISSION_PREFIX
from rejoinder.pipelines.shards.statistics import OTHER_SUBREDDITS, PairStatistics

_BATCH_ROWS = 65_536
_SIDES = (
    (features.CONTEXT_ID, features.CONTEXT_AUTHOR),
    (features.RESPONSE_ID, features.RESPONSE_AUTHOR),
)


@dataclass(frozen=True)
class Removal:
    """What is removed of a shard.

    Attributes:
        pairs: Pairs that are removed.
        of_submission: Those of them whose context is a submission.
        shortened: Other pairs that lose further contexts.
    """

    pairs: int = 0
    of_submission: int = 0
    shortened: int = 0


@dataclass
class NewShard:
    """A shard without the forgotten comments.

    Attributes:
        data: Its bytes.
        examples: Its pairs.
        removed: Histograms of the pairs that were removed; without months.
    """

    data: bytes
    examples: int
    removed: PairStatistics = field(default_factory=PairStatistics)


def ids_of_authors(path: str, extra_contexts: int, names: Names) -> set[str]:
    """Returns the ids of the authors' comments in a shard.

    Args:
        path: The shard file.
        extra_contexts: Further contexts of a pair, at most.
        names: What to forget.

    Raises:
        UserError: The file is missing or damaged.
    """
    sides = [*_SIDES, *_further(extra_contexts)]
    columns = [name for side in sides for name in side]
    turns = [features.extra_context(turn) for turn in range(extra_contexts)]
    found: set[str] = set()
    for reader, spans in reading.read_columns(path, [*columns, *turns], _BATCH_ROWS):
        _check_named(path, spans, extra_contexts, features.extra_context_author, "author")
        for id_name, author_name in sides:
            authors = reader.texts(spans[author_name])
            rows = [row for row, author in enumerate(authors) if names.has_stored_author(author)]
            if rows:
                ids = reader.texts(spans[id_name])
                found.update(ids[row] for row in rows)
    return found


def count(path: str, extra_contexts: int, names: Names) -> Removal:
    """Returns what is to be removed of a shard.

    Raises:
        UserError: The file is missing or damaged.
    """
    dropped, ends, of_submission = _find(storage.read_bytes(path), path, extra_contexts, names)
    return Removal(
        int(np.sum(dropped)),
        int(np.sum(dropped & of_submission)),
        int(np.sum(~dropped & (ends < extra_contexts))),
    )


def rewrite(path: str, extra_contexts: int, names: Names) -> NewShard:
    """Returns a shard without the forgotten comments; the order of the other pairs stays.

    Raises:
        UserError: The file is missing or damaged.
    """
    data = storage.read_bytes(path)
    dropped, ends, _ = _find(data, path, extra_contexts, names)
    kept, removed = [], []
    for row, record in enumerate(tfrecord.read_frames(data)):
        if dropped[row]:
            removed.append(record)
        elif ends[row] < extra_contexts:
            gone = range(int(ends[row]), extra_contexts)
            kept.append(reading.without_features(record, turn_features(gone)))
        else:
            kept.append(record)
    return NewShard(tfrecord.frame(kept), len(kept), _statistics(removed))


def turn_features(turns: Sequence[int]) -> list[str]:
    """Returns the names of all features of some further contexts."""
    kinds = (
        features.extra_context,
        features.extra_context_ids,
        features.extra_context_id,
        features.extra_context_author,
    )
    return [kind(turn) for turn in turns for kind in kinds]


def _further(extra_contexts: int) -> list[tuple[str, str]]:
    turns = range(extra_contexts)
    return [(features.extra_context_id(i), features.extra_context_author(i)) for i in turns]


def _find(
    data: bytes, path: str, extra_contexts: int, names: Names
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
    """Finds the n pairs that lose something.

    Returns:
        bool [n], whether a pair is removed; int64 [n], how many further contexts it may have;
        bool [n], whether its context is a submission.
    """
    dropped, ends, of_submission = [], [], []
    columns = [id_name for id_name, _ in (*_SIDES, *_further(extra_contexts))]
    turns = [features.extra_context(turn) for turn in range(extra_contexts)]
    for reader, spans in reading.read_columns_of(data, path, [*columns, *turns], _BATCH_ROWS):
        _check_named(path, spans, extra_contexts, features.extra_context_id, "id")
        contexts, responses, *further = [reader.texts(spans[name]) for name in columns]
        dropped.append(_listed(contexts, names) | _listed(responses, names))
        end_turn = np.full(len(contexts), extra_contexts, np.int64)
        for turn, ids in reversed(list(enumerate(further))):
            end_turn[_listed(ids, names)] = turn
        ends.append(end_turn)
        of_submission.append(_are([i.startswith(SUBMISSION_PREFIX) for i in contexts]))
    if not dropped:
        return np.zeros(0, bool), np.zeros(0, np.int64), np.zeros(0, bool)
    return np.concatenate(dropped), np.concatenate(ends), np.concatenate(of_submission)


def _check_named(
    path: str,
    spans: Mapping[str, Spans],
    extra_contexts: int,
    name_of: Callable[[int], str],
    what: str,
) -> None:
    """Checks that each earlier turn of some pairs has the feature that names it.

    A corpus that an earlier release made and this one extended has some that have not.

    Raises:
        UserError: One has not.
    """
    for turn in range(extra_contexts):
        text, name = spans[features.extra_context(turn)], spans[name_of(turn)]
        if np.any((text.end > text.begin) & (name.end == name.begin)):
            hint = "make the corpus again with this release"
            raise UserError(
                f"{path}: an earlier turn (context/{turn}) has no {what}, as in corpora of earlier "
                f"releases; {hint}{'' if what == 'id' else ', or give --ids only'}"
            )


def _listed(ids: Sequence[str], names: Names) -> NDArray[np.bool_]:
    return _are([value in names.ids for value in ids])


def _are(values: Sequence[bool]) -> NDArray[np.bool_]:
    return np.array(values, np.bool_)


def _statistics(records: Sequence[bytes]) -> PairStatistics:
    """Returns the histograms of pairs, without months, which a shard does not have."""
    found = PairStatistics()
    for example in map(reading.decode, records):
        found.context_chars[str(len(example[features.CONTEXT]))] += 1
        found.response_chars[str(len(example[features.RESPONSE]))] += 1
        found.context_tokens[str(len(example[features.CONTEXT_IDS]))] += 1
        found.response_tokens[str(len(example[features.RESPONSE_IDS]))] += 1
        found.subreddits[example[features.SUBREDDIT]] += 1
    return found


def subtract(statistics: PairStatistics, removed: PairStatistics) -> None:
    """Takes the pairs that were removed out of the histograms of a corpus.

    A subreddit that is too small to be named in them is taken from the others.
    """
    for name in removed.to_dict():
        histogram, gone = getattr(statistics, name), getattr(removed, name)
        for value, pairs in gone.items():
            named = min(pairs, histogram[value]) if name == "subreddits" else pairs
            histogram[value] -= named
            if pairs > named:
                histogram[OTHER_SUBREDDITS] -= pairs - named
    for name in statistics.to_dict():
        histogram = getattr(statistics, name)
        setattr(statistics, name, Counter({v: n for v, n in histogram.items() if n > 0}))
