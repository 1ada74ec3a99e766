"""One bucket of comments to finished shards: join, leave repeated pairs out, order, encode."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from rejoinder.corpus import features as names
from rejoinder.corpus.naming import SPLITS
from rejoinder.pipelines.reddit import filters, threads
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.shards.encode import PairEncoder, ShardData, Tokenize
from rejoinder.pipelines.shards.statistics import PairStatistics
from rejoinder.pipelines.shuffle import duplicates, hashing, partition

# A pair that stays out because an equal one is in the corpus.
DUPLICATE_PAIR = "duplicate_pair"

_ORDER_SEED = 2


@dataclass(frozen=True)
class Bucket:
    """What one bucket comes to.

    Attributes:
        shards: One per split of `rejoinder.corpus.naming.SPLITS`.
        counters: Every line of the bucket in exactly one counter.
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
    order = shard_order(found.rows[found.response])
    response = found.response[order]
    context = found.parent[response]
    ancestors = threads.ancestors(found, options.extra_contexts)[order]
    encoder = PairEncoder(found.rows.get_column("body"), context, response, tokenize)
    responses = found.rows[response]
    is_train = np.fromiter(map(hashing.is_train, responses["thread"]), bool, len(response))
    counters = found.counters
    del counters[threads.PAIR]
    shards: dict[str, ShardData] = {}
    for split in SPLITS:
        pairs = np.flatnonzero(is_train if split == "train" else ~is_train)
        with_text = split != "train" or options.keep_text
        text = (
            _text_columns(found.rows, context[pairs], response[pairs], ancestors[pairs])
            if with_text
            else {}
        )
        shards[split] = encoder.encode(pairs, text)
        counters[f"pair/{split}"] = len(pairs)
    statistics = PairStatistics.of(
        encoder,
        subreddits=responses.get_column("subreddit"),
        months=responses.get_column("month"),
        threads=found.rows.get_column("thread"),
    )
    return Bucket(shards, counters, statistics)


def reddit_pair_keys(blobs: Sequence[bytes], options: ExtractOptions) -> pl.DataFrame:
    """Returns what `duplicates.keys` does for a bucket's pairs."""
    found = _join(blobs, options)
    body = found.rows.get_column("body")
    return duplicates.keys(
        body[found.parent[found.response]], body[found.response], found.rows[found.response]
    )


def _join(blobs: Sequence[bytes], options: ExtractOptions) -> threads.Threads:
    filter_names = [f.name for f in filters.build_filters(options)]
    return threads.join_threads(partition.merge(blobs), filter_names)


def _drop_repeated(found: threads.Threads, repeated: Sequence[bytes]) -> threads.Threads:
    if not repeated:
        return found
    responses = found.rows[found.response].select("thread", "id").with_row_index("at")
    kept = responses.join(duplicates.read_losers(repeated), on=["thread", "id"], how="anti")
    response = found.response[np.sort(kept.get_column("at").to_numpy())]
    counters = found.counters
    counters[DUPLICATE_PAIR] = len(found.response) - len(response)
    return dataclasses.replace(found, response=response)


def shard_order(responses: pl.DataFrame) -> np.ndarray:
    """Returns int64 [p]: the order in a shard, a shuffle fixed by thread and response id."""
    key = hashing.hash_strings(responses.get_column("id"), _ORDER_SEED)
    order = np.argsort(key, kind="stable")
    if np.any(key[order[1:]] == key[order[:-1]]):  # then the thread decides
        keyed = responses.select("thread", "id").with_columns(key=pl.Series(key))
        order = keyed.select(pl.arg_sort_by(["key", "thread", "id"])).to_series().to_numpy()
    return order.astype(np.int64)


def _text_columns(
    rows: pl.DataFrame, context: np.ndarray, response: np.ndarray, ancestors: np.ndarray
) -> dict[str, pa.Array]:
    """Returns the text features of pairs, string [k] each; `ancestors` is int64 [k, extra]."""
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
    for index in range(ancestors.shape[1]):
        sources[names.extra_context(index)] = ("body", ancestors[:, index])
    return {name: _column(rows, column, picked) for name, (column, picked) in sources.items()}


def _column(rows: pl.DataFrame, name: str, picked: np.ndarray) -> pa.Array:
    """Returns large_string [k] of a column at the given rows; row -1 is null."""
    values = rows.get_column(name).gather(pl.Series(np.maximum(picked, 0)))
    array = values.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.compute.if_else(pa.array(picked >= 0), array, None) if (picked < 0).any() else array
