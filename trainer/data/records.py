"""Reads shards into memory: token ids end to end, no Python object per example."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rejoinder.corpus import features
from rejoinder.corpus.manifest import Shard
from rejoinder.errors import UserError

_PARSE_BATCH = 4096  # records parsed by one call


@dataclass(frozen=True)
class Ragged:
    """Rows of different length: row i is `values[splits[i]:splits[i + 1]]` (values int32)."""

    values: np.ndarray
    splits: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Length of each row, int64 [n]."""
        return np.diff(self.splits)

    def take(self, rows: np.ndarray) -> "Ragged":
        """Returns the given rows, in that order."""
        starts = self.splits[rows]
        lengths = self.splits[rows + 1] - starts
        splits = np.concatenate([[0], np.cumsum(lengths)])
        index = np.arange(splits[-1]) + np.repeat(starts - splits[:-1], lengths)
        return Ragged(self.values[index], splits)

    @staticmethod
    def concatenate(parts: Sequence["Ragged"]) -> "Ragged":
        """Lays rows end to end."""
        lengths = np.concatenate([part.lengths for part in parts])
        values = np.concatenate([part.values for part in parts])
        return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]))

    def keys(self) -> np.ndarray:
        """Returns a 64-bit hash of each row, int64 [n]: equal rows have equal keys.

        A polynomial hash modulo 2^64 whose words are mixed first (the finalizer
        of splitmix64), so that a collision among 10^4 rows has odds of 10^-12.
        """
        words = self.values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        words = _mix(words)
        position = np.arange(len(words)) - np.repeat(self.splits[:-1], self.lengths)
        words = _mix(words ^ _mix(position.astype(np.uint64)))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(words, dtype=np.uint64)])
        return (sums[self.splits[1:]] - sums[self.splits[:-1]]).view(np.int64)


def _mix(words: np.ndarray) -> np.ndarray:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


@dataclass(frozen=True)
class Pairs:
    """Tokenized pairs.

    Attributes:
        context: Token ids of the contexts.
        response: Token ids of the responses.
        extra: Further arrays [n] by name, where asked for: `thread_key` int64,
            `context_log_q` and `response_log_q` float32.
    """

    context: Ragged
    response: Ragged
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.context.splits) - 1

    def take(self, rows: np.ndarray) -> "Pairs":
        """Returns the given pairs, in that order."""
        extra = {name: array[rows] for name, array in self.extra.items()}
        return Pairs(self.context.take(rows), self.response.take(rows), extra)

    @staticmethod
    def concatenate(parts: Sequence["Pairs"]) -> "Pairs":
        """Lays pairs end to end."""
        if len(parts) == 1:
            return parts[0]
        return Pairs(
            Ragged.concatenate([part.context for part in parts]),
            Ragged.concatenate([part.response for part in parts]),
            {name: np.concatenate([part.extra[name] for part in parts]) for name in parts[0].extra},
        )


def read_shard(folder: str, shard: Shard, *, threads: bool = False) -> Pairs:
    """Reads one shard.

    Args:
        folder: Corpus folder, local or any path TensorFlow reads.
        shard: The shard's entry in the manifest.
        threads: Whether to read the thread of each pair as well.

    Raises:
        UserError: the file is missing, damaged, or not what the manifest says.
    """
    import tensorflow as tf

    path = posixpath.join(folder, shard.name)
    spec: dict = {
        name: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)
        for name in features.ID_FEATURES
    }
    if threads:
        spec[features.THREAD_ID] = tf.io.FixedLenFeature([], tf.string)

    def parse(serialized: tf.Tensor) -> dict:
        parsed = tf.io.parse_example(serialized, spec)
        result = {}
        for name in features.ID_FEATURES:
            result[f"{name}.values"] = tf.cast(parsed[name].values, tf.int32)
            result[f"{name}.lengths"] = parsed[name].row_lengths()
        if threads:
            result["thread"] = tf.strings.to_hash_bucket_fast(
                parsed[features.THREAD_ID], tf.int64.max
            )
        return result

    dataset = tf.data.TFRecordDataset(path, buffer_size=8 << 20).batch(_PARSE_BATCH)
    dataset = dataset.map(parse, num_parallel_calls=2, deterministic=True).prefetch(2)
    try:
        parts = list(dataset.as_numpy_iterator())
    except tf.errors.NotFoundError as error:
        raise UserError(f"{path}: shard is missing; make the corpus again") from error
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        reason = error.message.splitlines()[0]
        raise UserError(f"{path}: shard is damaged ({reason}); make the corpus again") from error
    count = sum(len(part["context_ids.lengths"]) for part in parts)
    if count != shard.examples:
        raise UserError(
            f"{path}: holds {count} pairs, manifest.json says {shard.examples}; "
            "make the corpus again"
        )
    if not parts:
        empty = Ragged(np.empty(0, np.int32), np.zeros(1, np.int64))
        return Pairs(empty, empty, {"thread_key": np.empty(0, np.int64)} if threads else {})
    return Pairs(
        _join(parts, features.CONTEXT_IDS),
        _join(parts, features.RESPONSE_IDS),
        {"thread_key": np.concatenate([part["thread"] for part in parts])} if threads else {},
    )


def with_log_frequency(pairs: Pairs) -> Pairs:
    """Returns the pairs with log(occurrences among these pairs) of either text, for logQ."""
    extra = dict(pairs.extra)
    for side, texts in (("context", pairs.context), ("response", pairs.response)):
        _, index, counts = np.unique(texts.keys(), return_inverse=True, return_counts=True)
        extra[f"{side}_log_q"] = np.log(counts[index]).astype(np.float32)
    return Pairs(pairs.context, pairs.response, extra)


def _join(parts: list[dict], name: str) -> Ragged:
    lengths = np.concatenate([part[f"{name}.lengths"] for part in parts])
    values = np.concatenate([part[f"{name}.values"] for part in parts])
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]))
