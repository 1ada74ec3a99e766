"""Gives a batch the static shapes that a compiled step needs.

Reddit comments average 18.5 tokens and padding each to 128 computes seven times
too much. Packed rows hold several sentences each; the number of rows, or the few
numbers a batch may choose from, is fixed from the data's own statistics, the
largest a little above what an average batch needs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.errors import UserError
from rejoinder.trainer.data.records import Pairs, Ragged
from rejoinder.trainer.data.sampler import Batch

Features = dict[str, np.ndarray]

# Share of the tokens of packed rows that best-fit packing fills when rows are short of tokens.
_FILL = 0.985


@dataclass(frozen=True)
class Arranged:
    """A batch of one host, ready for its replicas.

    Attributes:
        replicas: Features of each replica.
        tokens: Real tokens in the batch.
        capacity: Token places in the batch, padding included.
        cut: Tokens cut from the longest sentences because the rows were full.
    """

    replicas: list[Features]
    tokens: int
    capacity: int
    cut: int


def deal(pairs: Pairs, replicas: int) -> list[np.ndarray]:
    """Returns the pairs of each replica, so that all have about the same number of tokens.

    By falling length, there and back (0 1 2 3 3 2 1 0 …).
    """
    count = len(pairs)
    if replicas == 1:
        return [np.arange(count)]
    longest_first = np.argsort(-(pairs.context.lengths + pairs.response.lengths), kind="stable")
    there_and_back = np.concatenate([np.arange(replicas), np.arange(replicas)[::-1]])
    owner = np.resize(there_and_back, count)
    return [np.sort(longest_first[owner == replica]) for replica in range(replicas)]


def rows_needed(
    samples: Sequence[Pairs], pairs: int, replicas: int, row_length: int, deviations: float
) -> int:
    """Returns how many packed rows a replica needs.

    Args:
        samples: Pairs of each data set; the one with the longest counts.
        pairs: Pairs of one replica.
        replicas: Replicas of one host, among which pairs are dealt by length.
        row_length: Tokens of a row.
        deviations: Standard deviations above the mean that still fit.
    """
    rows = 1
    for sample in samples:
        lengths = sample.context.lengths + sample.response.lengths
        spread = lengths.std() * math.sqrt(pairs / replicas)
        rows = max(
            rows,
            math.ceil((pairs * lengths.mean() + deviations * spread) / (row_length * _FILL)),
        )
    return rows


class PackedLayout:
    """Several sentences to a row (`rejoinder.models.packing`).

    Args:
        replicas: Replicas of this host.
        row_length: Tokens of a row.
        row_counts: Rows of a replica, ascending: a batch takes the first number that
            holds it, the last one even if its longest sentences must be cut.
        max_segments: Sentences of a row at most.
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
        self._pack_rows = {
            rows: _compiled_pack(row_length, rows, max_segments, pad_id) for rows in row_counts
        }

    def arrange(self, batch: Batch) -> Arranged:
        """Packs one host's batch; all its replicas get the same number of rows."""
        shares = deal(batch.pairs, self.replicas)
        parts = [batch.pairs.take(share) for share in shares]
        texts = [Ragged.concatenate([part.context, part.response]) for part in parts]
        rows, packed = self._pack(texts)
        features = [
            {**one, **_per_pair(part, batch.source[share])}
            for (one, _), part, share in zip(packed, parts, shares, strict=True)
        ]
        tokens = sum(kept for _, kept in packed)
        cut = sum(int(text.splits[-1]) for text in texts) - tokens
        return Arranged(features, tokens, self.replicas * rows * self.row_length, cut)

    def _pack(self, texts: Sequence[Ragged]) -> tuple[int, list[tuple[Features, int]]]:
        """Returns the number of rows, and what each replica's rows and kept tokens are."""
        *smaller, largest = self.row_counts
        most = max(int(text.splits[-1]) for text in texts)
        for rows in smaller:
            if rows * self.row_length < most:
                continue
            packed = []
            for text in texts:
                one = self._whole(text, rows)
                if one is None:
                    break
                packed.append(one)
            else:
                return rows, packed
        return largest, [self._cut(text, largest) for text in texts]

    def _whole(self, texts: Ragged, rows: int) -> tuple[Features, int] | None:
        if texts.lengths.max() > self.row_length:
            return None
        packed = self._pack_rows[rows](texts)
        return (packed, int(texts.splits[-1])) if packed.pop("fits") else None

    def _cut(self, texts: Ragged, rows: int) -> tuple[Features, int]:
        limit = min(int(texts.lengths.max()), self.row_length)
        while True:
            kept = cut_to(texts, limit)
            packed = self._pack_rows[rows](kept)
            if packed.pop("fits"):
                return packed, int(kept.splits[-1])
            limit = limit * 9 // 10
            if limit < 8:
                raise UserError(
                    f"train_data.rows_per_replica: {rows} rows of {self.row_length} tokens "
                    f"cannot hold {len(texts.lengths)} sentences of {texts.lengths.mean():.1f} "
                    f"tokens with at most {self.max_segments} to a row; raise it, or set 0"
                )


def _compiled_pack(
    row_length: int, rows: int, max_segments: int, pad_id: int
) -> Callable[[Ragged], Features]:
    """Returns `rejoinder.models.packing.pack` as one graph on the host's CPU, from and to numpy."""
    import tensorflow as tf

    from rejoinder.models.packing import pack

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.int64)])
    def run(values: tf.Tensor, splits: tf.Tensor) -> dict[str, tf.Tensor]:
        ids = tf.RaggedTensor.from_row_splits(values, splits, validate=False)
        return pack(ids, row_length, rows, max_segments, pad_id)._asdict()

    def pack_rows(texts: Ragged) -> Features:
        with tf.device("CPU:0"):
            packed = run(texts.values, texts.splits)
        return {name: value.numpy() for name, value in packed.items()}

    return pack_rows


class PaddedLayout:
    """One sentence to a row, padded to the smallest of a few lengths that holds the batch.

    Args:
        replicas: Replicas of this host.
        lengths: Row lengths to choose from, ascending; longer sentences are cut to the last.
        pad_id: Id of the padding token.
    """

    def __init__(self, replicas: int, lengths: Sequence[int], pad_id: int):
        self.replicas = replicas
        self._lengths = tuple(lengths)
        self._pad_id = pad_id

    def arrange(self, batch: Batch) -> Arranged:
        """Pads one host's batch."""
        pairs = batch.pairs
        longest = max(pairs.context.lengths.max(), pairs.response.lengths.max())
        width = next((w for w in self._lengths if longest <= w), self._lengths[-1])
        features, tokens, cut = [], 0, 0
        for rows in deal(pairs, self.replicas):
            mine = pairs.take(rows)
            texts = Ragged.concatenate([mine.context, mine.response])
            kept = cut_to(texts, width)
            tokens += int(kept.splits[-1])
            cut += int(texts.splits[-1] - kept.splits[-1])
            ids = np.full((len(kept.lengths), width), self._pad_id, np.int32)
            ids[np.arange(width) < kept.lengths[:, np.newaxis]] = kept.values
            features.append({"token_ids": ids, **_per_pair(mine, batch.source[rows])})
        return Arranged(features, tokens, 2 * len(pairs) * width, cut)


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


def _per_pair(pairs: Pairs, source: np.ndarray) -> Features:
    features = {
        "context_key": _words(pairs.context.keys()),
        "response_key": _words(pairs.response.keys()),
        "source": source,
    }
    for name, array in pairs.extra.items():
        features[name] = _words(array) if name == "thread_key" else array
    return features


def _words(keys: np.ndarray) -> np.ndarray:
    """Returns 64-bit keys as pairs of int32, which every accelerator compares natively."""
    return np.ascontiguousarray(keys).view(np.int32).reshape(-1, 2)
