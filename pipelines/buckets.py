"""One bucket from comments to finished shards: join, tokenize once, encode, order."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from corpus import features as names
from corpus.naming import SPLITS
from pipelines import duplicates, examples, filters, hashing, partition, tfrecord, threads
from pipelines.options import ExtractOptions
from pipelines.statistics import PairStatistics

# Ragged token ids of distinct texts: (int32 values [m], int64 row_splits [n + 1]).
Tokenize = Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]

# A pair that stays out because an equal one is in the corpus.
DUPLICATE_PAIR = "duplicate_pair"

_ORDER_SEED = 2


@dataclass(frozen=True)
class ShardData:
    """The bytes of one shard file and its number of examples."""

    data: bytes
    examples: int


@dataclass(frozen=True)
class Bucket:
    """What one bucket comes to.

    Attributes:
        shards: One per split of `corpus.naming.SPLITS`.
        counters: Every comment in exactly one counter.
        statistics: For the report.
    """

    shards: dict[str, ShardData]
    counters: Counter[str]
    statistics: PairStatistics


def process_bucket(
    blobs: Sequence[bytes],
    options: ExtractOptions,
    tokenize: Tokenize,
    repeated: Sequence[bytes] = (),
) -> Bucket:
    """Makes a bucket's shards; the result does not depend on the order of `blobs`.

    Args:
        blobs: The bucket's comments, from `partition.partition`.
        options: What shapes the pairs.
        tokenize: Token ids of texts.
        repeated: Pairs that stay out because an equal one is elsewhere, from `duplicates`.
    """
    found = _drop_repeated(_join(blobs, options), repeated)
    pairs = _Pairs(found, options, tokenize)
    counters = found.counters
    shards: dict[str, ShardData] = {}
    for split in SPLITS:
        rows = np.flatnonzero(pairs.is_train if split == "train" else ~pairs.is_train)
        shards[split] = pairs.encode(rows, with_text=split != "train" or options.keep_text)
        counters[f"pair/{split}"] = len(rows)
    del counters[threads.PAIR]
    return Bucket(shards, counters, pairs.statistics())


def _join(blobs: Sequence[bytes], options: ExtractOptions) -> threads.Threads:
    filter_names = [f.name for f in filters.build_filters(options)]
    return threads.join_threads(partition.merge(blobs), filter_names)


def reddit_pair_keys(blobs: Sequence[bytes], options: ExtractOptions) -> pl.DataFrame:
    """Returns what `duplicates.keys` does for a bucket's pairs."""
    found = _join(blobs, options)
    body = found.rows.get_column("body")
    return duplicates.keys(
        body[found.parent[found.response]], body[found.response], found.rows[found.response]
    )


def _drop_repeated(found: threads.Threads, repeated: Sequence[bytes]) -> threads.Threads:
    if not repeated:
        return found
    responses = found.rows[found.response].select("thread", "id").with_row_index("at")
    kept = responses.join(duplicates.read_losers(repeated), on=["thread", "id"], how="anti")
    response = found.response[np.sort(kept.get_column("at").to_numpy())]
    counters = found.counters
    counters[DUPLICATE_PAIR] = len(found.response) - len(response)
    return dataclasses.replace(found, response=response)


class _Pairs:
    """The pairs of a bucket in shard order, with every distinct comment tokenized once."""

    def __init__(self, found: threads.Threads, options: ExtractOptions, tokenize: Tokenize) -> None:
        self._options = options
        self._rows = found.rows
        order = _shard_order(found.rows[found.response])
        self._response = found.response[order]
        self._context = found.parent[self._response]
        self._ancestors = threads.ancestors(found, options.extra_contexts)[order]
        used, inverse = np.unique(
            np.concatenate([self._context, self._response]), return_inverse=True
        )
        self._context_used, self._response_used = np.split(inverse, 2)
        self._text_used = found.rows.get_column("body")[used]
        values, row_splits = tokenize(self._text_used.to_list())
        self._tokens_used = np.diff(row_splits)
        packed = examples.encode_varints(values, row_splits)
        self._context_ids = examples.ids_feature(names.CONTEXT_IDS, packed)
        self._response_ids = examples.ids_feature(names.RESPONSE_IDS, packed)
        thread = found.rows.get_column("thread")[self._response]
        self.is_train = np.fromiter(map(hashing.is_train, thread), bool, len(thread))
        self._num_threads = found.rows.get_column("thread")

    def encode(self, pairs: np.ndarray, *, with_text: bool) -> ShardData:
        """Returns the shard that holds the given pairs, int64 [k], in this order."""
        columns = {
            names.CONTEXT_IDS: self._context_ids.take(pa.array(self._context_used[pairs])),
            names.RESPONSE_IDS: self._response_ids.take(pa.array(self._response_used[pairs])),
        }
        if with_text:
            columns.update(self._text_features(pairs))
        records = examples.encode_examples([columns[name] for name in sorted(columns)])
        return ShardData(tfrecord.frame(records), len(records))

    def _text_features(self, pairs: np.ndarray) -> dict[str, pa.Array]:
        context, response = self._context[pairs], self._response[pairs]
        sources = {
            names.CONTEXT: ("body", context),
            names.CONTEXT_AUTHOR: ("author", context),
            names.CONTEXT_ID: ("id", context),
            names.RESPONSE: ("body", response),
            names.RESPONSE_AUTHOR: ("author", response),
            names.RESPONSE_ID: ("id", response),
            names.SUBREDDIT: ("subreddit", response),
            names.THREAD_ID: ("thread", response),
        }
        for index in range(self._ancestors.shape[1]):
            sources[names.extra_context(index)] = ("body", self._ancestors[pairs, index])
        return {
            name: examples.bytes_feature(name, self._column(column, rows))
            for name, (column, rows) in sources.items()
        }

    def _column(self, name: str, rows: np.ndarray) -> pa.Array:
        """Returns large_string [k] of a column; row -1 is null."""
        picked = self._rows.get_column(name).gather(pl.Series(np.maximum(rows, 0)))
        array = picked.to_arrow(compat_level=pl.CompatLevel.oldest())
        return pa.compute.if_else(pa.array(rows >= 0), array, None) if (rows < 0).any() else array

    def statistics(self) -> PairStatistics:
        """Returns the figures of the report."""
        response_rows = self._rows[self._response]
        chars = self._text_used.str.len_chars().to_numpy()
        return PairStatistics.of(
            context_chars=chars[self._context_used],
            response_chars=chars[self._response_used],
            context_tokens=self._tokens_used[self._context_used],
            response_tokens=self._tokens_used[self._response_used],
            subreddits=response_rows.get_column("subreddit"),
            months=response_rows.get_column("month"),
            threads=self._num_threads,
        )


def _shard_order(responses: pl.DataFrame) -> np.ndarray:
    """Returns int64 [p]: the order in a shard, a shuffle fixed by the responses' ids."""
    key = hashing.hash_strings(responses.get_column("id"), _ORDER_SEED)
    order = np.argsort(key, kind="stable")
    if np.any(key[order[1:]] == key[order[:-1]]):  # then the thread decides
        keyed = responses.select("thread", "id").with_columns(key=pl.Series(key))
        order = keyed.select(pl.arg_sort_by(["key", "thread", "id"])).to_series().to_numpy()
    return order.astype(np.int64)
