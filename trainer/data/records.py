"""Reads shards into memory as flat arrays, without a Python object per example."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus import features
from rejoinder.corpus.examples import Spans
from rejoinder.corpus.manifest import Shard
from rejoinder.corpus.reading import read_columns
from rejoinder.corpus.splitmix64 import INCREMENT, mix
from rejoinder.errors import UserError

_BATCH = 65_536  # records decoded by one call


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: row i is `values[splits[i]:splits[i + 1]]`.

    Attributes:
        values: int32 [total].
        splits: int64 [n + 1].
    """

    values: NDArray[np.int32]
    splits: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each row, int64 [n]."""
        return np.diff(self.splits)

    def take(self, rows: NDArray[np.int64]) -> "Ragged":
        """Returns the given rows, in that order."""
        starts = self.splits[rows]
        lengths = self.splits[rows + 1] - starts
        splits = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(splits[-1]) + np.repeat(starts - splits[:-1], lengths)
        return Ragged(self.values[index], splits)

    @staticmethod
    def concatenate(parts: Sequence["Ragged"]) -> "Ragged":
        """Returns the rows of all parts, in order; without parts, no row."""
        if not parts:
            return Ragged(np.empty(0, np.int32), np.zeros(1, np.int64))
        lengths = np.concatenate([part.lengths for part in parts])
        values = np.concatenate([part.values for part in parts])
        return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]))

    def keys(self) -> NDArray[np.int64]:
        """Returns a 64-bit hash of each row, int64 [n]: equal rows have equal keys.

        A sum modulo 2^64 of words that are mixed by the finalizer of splitmix64, so
        that the probability of a collision among 10^4 rows is about 10^-12.
        """
        words = self.values.astype(np.uint64) + np.uint64(INCREMENT)
        words = mix(words)
        position = np.arange(len(words)) - np.repeat(self.splits[:-1], self.lengths)
        words = mix(words ^ mix(position.astype(np.uint64)))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(words, dtype=np.uint64)])
        return (sums[self.splits[1:]] - sums[self.splits[:-1]]).view(np.int64)


def int32_halves(keys: NDArray[np.int64]) -> NDArray[np.int32]:
    """Returns 64-bit keys as pairs of int32, which every accelerator compares natively."""
    return np.ascontiguousarray(keys).view(np.int32).reshape(-1, 2)


@dataclass(frozen=True)
class Pairs:
    """Tokenized pairs.

    Attributes:
        context: Token ids of the contexts.
        response: Token ids of the responses.
        extra: Further arrays by name, if requested: `context_log_q` and `response_log_q`
            float32 [n], `guide_context` and `guide_response` int8 [n, d], `thread_key` int32
            [n, 2], 0 for a pair without a thread.
        negatives: Token ids of the hard negatives, the most similar ones first; an empty row
            for a pair that has fewer.
        earlier: Empty, or token ids of the earlier turns as one text; that of the context for a
            pair without any.
    """

    context: Ragged
    response: Ragged
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)
    negatives: tuple[Ragged, ...] = ()
    earlier: tuple[Ragged, ...] = ()

    def __len__(self) -> int:
        return len(self.context.splits) - 1

    @property
    def sentences(self) -> tuple[Ragged, ...]:
        """All that is encoded: contexts, responses, columns of negatives, earlier turns."""
        return (self.context, self.response, *self.negatives, *self.earlier)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of all sentences of each pair, int64 [n]."""
        return np.sum([texts.lengths for texts in self.sentences], axis=0)

    def take(self, rows: NDArray[np.int64]) -> "Pairs":
        """Returns the given pairs, in that order."""
        extra = {name: array[rows] for name, array in self.extra.items()}
        negatives = tuple(texts.take(rows) for texts in self.negatives)
        earlier = tuple(texts.take(rows) for texts in self.earlier)
        return Pairs(self.context.take(rows), self.response.take(rows), extra, negatives, earlier)

    @staticmethod
    def concatenate(parts: Sequence["Pairs"]) -> "Pairs":
        """Returns the pairs of all parts, in order.

        Raises:
            UserError: The parts have vectors of different lengths.
        """
        if len(parts) == 1:
            return parts[0]
        return Pairs(
            Ragged.concatenate([part.context for part in parts]),
            Ragged.concatenate([part.response for part in parts]),
            {n: _concatenate(n, [part.extra[n] for part in parts]) for n in parts[0].extra},
            *(
                tuple(map(Ragged.concatenate, zip(*columns, strict=True)))
                for columns in (
                    [part.negatives for part in parts],
                    [part.earlier for part in parts],
                )
            ),
        )


def _concatenate(name: str, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Returns arrays one after the other, which are [n] or [n, d] with one d."""
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        lengths = " and ".join(str(length) for (length,) in sorted(shapes))
        raise UserError(
            f"{name}: the shards of the corpora have vectors of {lengths} numbers; make them again "
            "with one model (`rejoinder mine --guide`)"
        )
    return np.concatenate(arrays)


@dataclass(frozen=True)
class Turns:
    """Which earlier turns of a pair to read.

    Attributes:
        count: At most so many.
        max_length: Tokens of all of them together, `<s>` and `</s>` included.
    """

    count: int = 0
    max_length: int = 0


@dataclass(frozen=True)
class PairParts:
    """What to read of each pair beside its context and its response.

    Attributes:
        negatives: Number of hard negatives.
        guide: Whether to read the guide's vectors.
        turns: The earlier turns; None reads none.
        threads: Whether to read the thread.
    """

    negatives: int = 0
    guide: bool = False
    turns: Turns | None = None
    threads: bool = False


NO_PARTS = PairParts()


def join_turns(turns: Sequence[Ragged], max_length: int) -> Ragged:
    """Returns the earlier turns of each pair as one text.

    The ids are those of the texts with spaces between them, because a tokenizer splits at spaces
    first: `<s>`, the tokens of the nearest turn, those of the next one, …, `</s>`.

    Args:
        turns: For each distance, the ids of each pair's turn, with `<s>` and `</s>`; an empty row
            where there is none.
        max_length: Ids at which the text is cut; `</s>` stays.

    Returns:
        The ids; an empty row for a pair without turns.
    """
    lengths = np.stack([np.maximum(turn.lengths - 2, 0) for turn in turns])  # [k, n]
    ends = np.minimum(np.cumsum(lengths, axis=0), max_length - 2)
    begins = np.concatenate([np.zeros_like(ends[:1]), ends[:-1]])
    present = turns[0].lengths > 0
    splits = np.concatenate([[0], np.cumsum(np.where(present, ends[-1] + 2, 0))])
    values = np.zeros(splits[-1], np.int32)
    first = splits[:-1][present]
    values[first] = turns[0].values[turns[0].splits[:-1][present]]
    values[splits[1:][present] - 1] = turns[0].values[turns[0].splits[1:][present] - 1]
    for turn, begin, end in zip(turns, begins, ends, strict=True):
        kept = end - begin
        inside = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        target = np.repeat(splits[:-1] + 1 + begin, kept) + inside
        values[target] = turn.values[np.repeat(turn.splits[:-1] + 1, kept) + inside]
    return Ragged(values, splits)


def _or_context(earlier: Ragged, context: Ragged) -> Ragged:
    """Returns the earlier turns, and the context where a pair has none."""
    both = Ragged.concatenate([earlier, context])
    count = len(context.lengths)
    rows = np.arange(count)
    return both.take(np.where(earlier.lengths > 0, rows, rows + count))


def read_shard(folder: str, shard: Shard, parts: PairParts = NO_PARTS) -> Pairs:
    """Reads one shard.

    Args:
        folder: Corpus folder, on any file system of `rejoinder.storage`.
        shard: The shard's entry in the manifest.
        parts: What to read beside contexts and responses.

    Raises:
        UserError: The file is missing or damaged, or does not match the manifest.
    """
    path = storage.join(folder, shard.name)
    if not storage.exists(path):
        raise UserError(f"{path}: shard is missing; make the corpus again")
    names = [*features.ID_FEATURES, *map(features.negative_ids, range(parts.negatives))]
    guides = features.GUIDES if parts.guide else ()
    if parts.turns:
        names += map(features.extra_context_ids, range(parts.turns.count))
    columns: dict[str, list[Ragged]] = {name: [] for name in names}
    vectors: dict[str, list[NDArray[np.int8]]] = {name: [] for name in guides}
    thread = (features.THREAD_ID,) if parts.threads else ()
    threads: list[NDArray[np.int32]] = []
    read, width = 0, 0
    for reader, spans in read_columns(path, [*names, *guides, *thread], _BATCH):
        for name, blocks in vectors.items():
            width = width or int(spans[name].end[0] - spans[name].begin[0])
            _check_vectors(path, name, spans[name], width, read)
            blocks.append(reader.rows(spans[name]).view(np.int8))
        read += len(spans[features.CONTEXT_IDS].begin)
        for name in thread:
            text, ends = reader.raw(spans[name])
            threads.append(int32_halves(Ragged(text.astype(np.int32), ends).keys()))
        for name, column in columns.items():
            values, splits = reader.ids(spans[name])
            column.append(Ragged(values.astype(np.int32), splits))
    context, response, *further = (Ragged.concatenate(column) for column in columns.values())
    hard, above = further[: parts.negatives], further[parts.negatives :]
    earlier = []
    if parts.turns:
        earlier.append(_or_context(join_turns(above, parts.turns.max_length), context))
    extra = {name: np.concatenate(blocks) for name, blocks in vectors.items() if blocks}
    if threads:
        extra["thread_key"] = np.concatenate(threads)
    pairs = Pairs(context, response, extra, tuple(hard), tuple(earlier))
    if len(pairs) != shard.examples:
        raise UserError(
            f"{path}: contains {len(pairs)} pairs, manifest.json says {shard.examples}; "
            "make the corpus again"
        )
    return pairs


def _check_vectors(path: str, name: str, spans: Spans, width: int, first: int) -> None:
    """Checks that all vectors of a shard have the same length.

    Args:
        path: The shard.
        name: The feature.
        spans: Its values in consecutive records.
        width: Bytes of the shard's first vector; 0 if it lacks the feature.
        first: Number of the first of these records in the shard, from 0.

    Raises:
        UserError: A vector is missing or has another length.
    """
    lengths = spans.end - spans.begin
    wrong = np.flatnonzero((lengths != width) | (lengths == 0))
    if len(wrong):
        found = lengths[wrong[0]]
        what = f"has {found} numbers, the shard's first vector {width}" if found else "is missing"
        raise UserError(
            f"{path}: record {first + wrong[0] + 1:,}: {name} {what}; make the corpus again with "
            "`rejoinder mine --guide`"
        )


def with_log_frequency(pairs: Pairs) -> Pairs:
    """Adds the logarithm of how often each text occurs among these pairs, for logQ."""
    extra = dict(pairs.extra)
    sides = {"context": pairs.context, "response": pairs.response}
    sides |= dict(zip(("earlier",), pairs.earlier, strict=False))
    for side, texts in sides.items():
        _, index, counts = np.unique(texts.keys(), return_inverse=True, return_counts=True)
        extra[f"{side}_log_q"] = np.log(counts[index]).astype(np.float32)
    return dataclasses.replace(pairs, extra=extra)
