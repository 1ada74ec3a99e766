"""Gives a batch the static shapes that a compiled step needs.

Reddit comments average 18.5 tokens; padding each to 128 computes seven times too
much. Packed rows hold several sentences each. The number of rows, or the few numbers
that a batch can choose from, is computed from the statistics of the data; the largest
is a little above what an average batch needs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.models.packing import pack
from rejoinder.trainer.data.records import Pairs, Ragged, int32_halves
from rejoinder.trainer.data.sampler import Batch

Features = dict[str, NDArray[Any]]

# Share of the tokens of packed rows that best-fit packing fills when rows are short of tokens.
_FILL = 0.985
_SHORTEST_CUT = 8  # tokens; below this, shorter sentences no longer help


@dataclass(frozen=True)
class HostBatch:
    """A batch, with one set of features for each replica of this host.

    Attributes:
        replicas: Features of each replica.
        tokens: Real tokens in the batch of all hosts.
        capacity: Token positions in the batch of all hosts, padding included.
        cut: Tokens that were cut from the longest sentences because the rows were full.
        drawn: Pairs of each data set in the batch of all hosts, by index.
    """

    replicas: list[Features]
    tokens: int
    capacity: int
    cut: int
    drawn: dict[int, int]


def balance_replicas(pairs: Pairs, replicas: int) -> list[NDArray[np.int64]]:
    """Returns the pairs of each replica, so that all have about the same number of tokens.

    Pairs are assigned by decreasing length in a zigzag (0 1 2 3 3 2 1 0 …).
    """
    count = len(pairs)
    if replicas == 1:
        return [np.arange(count)]
    longest_first = np.argsort(-pairs.lengths, kind="stable")
    zigzag = np.concatenate([np.arange(replicas), np.arange(replicas)[::-1]])
    owner = np.resize(zigzag, count)
    return [np.sort(longest_first[owner == replica]) for replica in range(replicas)]


def rows_needed(
    samples: Sequence[Pairs], pairs: int, replicas: int, row_length: int, deviations: float
) -> int:
    """Returns the number of packed rows that a replica needs.

    Args:
        samples: Sample pairs of each data set; the longest data set decides.
        pairs: Pairs of one replica.
        replicas: Replicas of all hosts, among which pairs are balanced by length.
        row_length: Tokens of a row.
        deviations: Standard deviations above the mean that still fit.
    """
    rows = 1
    for sample in samples:
        lengths = np.maximum(sample.lengths, len(sample.sentences))
        spread = lengths.std() * math.sqrt(pairs / replicas)
        rows = max(
            rows,
            math.ceil((pairs * lengths.mean() + deviations * spread) / (row_length * _FILL)),
        )
    return rows


class PackedLayout:
    """Several sentences in a row (`rejoinder.models.packing`).

    Args:
        replicas: Replicas of all hosts.
        row_length: Tokens of a row.
        row_counts: Rows of a replica, ascending. A batch takes the first number that
            holds it, or else the last one with its longest sentences cut.
        max_segments: Maximum sentences in a row.
        pad_id: Id of the padding token.
    """

    def __init__(
        self,
        replicas: int,
        row_length: int,
        row_counts: Sequence[int],
        max_segments: int,
        pad_id: int,
    ):
        self.replicas = replicas
        self.row_length = row_length
        self.row_counts = tuple(row_counts)
        self.max_segments = max_segments
        self._pad_id = pad_id

    def arrange(self, batch: Batch) -> HostBatch:
        """Packs a batch; all replicas get the same number of rows."""
        shares = balance_replicas(batch.pairs, self.replicas)
        parts = [batch.pairs.take(share) for share in shares]
        texts = [all_sentences(part) for part in parts]
        rows, packed = self._pack_all(texts)
        features = [
            {**one, **_pair_features(part, batch.data_set[share])}
            for (one, _), part, share in zip(packed, parts, shares, strict=True)
        ]
        tokens = sum(kept for _, kept in packed)
        cut = sum(int(text.splits[-1]) for text in texts) - tokens
        capacity = self.replicas * rows * self.row_length
        return HostBatch(features, tokens, capacity, cut, batch.drawn)

    def _pack_all(self, texts: Sequence[Ragged]) -> tuple[int, list[tuple[Features, int]]]:
        """Returns the number of rows, and each replica's packed rows and kept tokens."""
        *smaller, largest = self.row_counts
        most = max(int(text.splits[-1]) for text in texts)
        for rows in smaller:
            if rows * self.row_length < most:
                continue
            packed = []
            for text in texts:
                one = self._pack_uncut(text, rows)
                if one is None:
                    break
                packed.append(one)
            else:
                return rows, packed
        return largest, [self._pack_cut(text, largest) for text in texts]

    def _pack(self, texts: Ragged, rows: int) -> Features | None:
        packed = pack(
            texts.values, texts.splits, self.row_length, rows, self.max_segments, self._pad_id
        )
        if not packed.fits:
            return None
        return {
            "token_ids": packed.token_ids,
            "segment_ids": packed.segment_ids,
            "positions": packed.positions,
            "slots": packed.slots,
        }

    def _pack_uncut(self, texts: Ragged, rows: int) -> tuple[Features, int] | None:
        if texts.lengths.max() > self.row_length:
            return None
        packed = self._pack(texts, rows)
        return None if packed is None else (packed, int(texts.splits[-1]))

    def _pack_cut(self, texts: Ragged, rows: int) -> tuple[Features, int]:
        limit = min(int(texts.lengths.max()), self.row_length)
        while True:
            kept = cut_to(texts, limit)
            packed = self._pack(kept, rows)
            if packed is not None:
                return packed, int(kept.splits[-1])
            limit = limit * 9 // 10
            if limit < _SHORTEST_CUT:
                raise UserError(
                    f"task.train_data.max_segments: {rows} rows with at most {self.max_segments} "
                    f"sentences each cannot hold {len(texts.lengths)} sentences of "
                    f"{texts.lengths.mean():.1f} tokens; raise it, or set a shorter row_length"
                )


class PaddedLayout:
    """One sentence in a row, padded to the smallest of a few lengths that holds the batch.

    Args:
        replicas: Replicas of all hosts.
        lengths: Row lengths to choose from, ascending; longer sentences are cut to the last.
        pad_id: Id of the padding token.
    """

    def __init__(self, replicas: int, lengths: Sequence[int], pad_id: int):
        self.replicas = replicas
        self._lengths = tuple(lengths)
        self._pad_id = pad_id

    def arrange(self, batch: Batch) -> HostBatch:
        """Pads a batch."""
        pairs = batch.pairs
        longest = max(texts.lengths.max() for texts in pairs.sentences)
        width = next((w for w in self._lengths if longest <= w), self._lengths[-1])
        features, tokens, cut = [], 0, 0
        for share in balance_replicas(pairs, self.replicas):
            part = pairs.take(share)
            texts = all_sentences(part)
            kept = cut_to(texts, width)
            tokens += int(kept.splits[-1])
            cut += int(texts.splits[-1] - kept.splits[-1])
            ids = np.full((len(kept.lengths), width), self._pad_id, np.int32)
            ids[np.arange(width) < kept.lengths[:, np.newaxis]] = kept.values
            features.append({"token_ids": ids, **_pair_features(part, batch.data_set[share])})
        capacity = len(pairs.sentences) * len(pairs) * width
        return HostBatch(features, tokens, capacity, cut, batch.drawn)


def all_sentences(pairs: Pairs) -> Ragged:
    """Returns all contexts, all responses, all negatives of each column, and earlier turns.

    A negative that is missing becomes one token, the first one of its pair's context, because
    every row of the encoder needs a token; the loss removes it by its key.
    """
    filled = [_fill_empty(texts, pairs.context) for texts in pairs.negatives]
    return Ragged.concatenate([pairs.context, pairs.response, *filled, *pairs.earlier])


def _fill_empty(texts: Ragged, others: Ragged) -> Ragged:
    """Returns the texts with the first id of the same row of `others` in each empty row."""
    empty = texts.lengths == 0
    if not empty.any():
        return texts
    values = np.insert(
        texts.values, texts.splits[:-1][empty], others.values[others.splits[:-1][empty]]
    )
    return Ragged(values, texts.splits + np.concatenate([[0], np.cumsum(empty)]))


def cut_to(texts: Ragged, limit: int) -> Ragged:
    """Returns the texts with at most `limit` ids each; a cut text keeps its `</s>`."""
    lengths = texts.lengths
    if lengths.max(initial=0) <= limit:
        return texts
    kept = np.minimum(lengths, limit)
    splits = np.concatenate([[0], np.cumsum(kept)])
    index = np.arange(splits[-1]) + np.repeat(texts.splits[:-1] - splits[:-1], kept)
    values = texts.values[index]
    values[splits[1:] - 1] = texts.values[texts.splits[1:] - 1]
    return Ragged(values, splits)


def _pair_features(pairs: Pairs, data_set: NDArray[np.int32]) -> Features:
    features = {
        "context_key": int32_halves(pairs.context.keys()),
        "response_key": int32_halves(pairs.response.keys()),
        "data_set": data_set,
        **pairs.extra,
    }
    for texts in pairs.earlier:
        features["earlier_key"] = int32_halves(texts.keys())
    if pairs.negatives:  # the key of an empty row is 0
        keys = [int32_halves(texts.keys()) for texts in pairs.negatives]
        features["negative_key"] = np.stack(keys, axis=1)
    return features
