"""Makes the shards of one bucket of comments: join, drop duplicate pairs, order, encode."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from rejoinder.corpus import features as names
from rejoinder.corpus.naming import SPLITS
from rejoinder.pipelines.growth import state
from rejoinder.pipelines.reddit import contamination, filters, threads
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.shards.bucket import CONTAMINATED_PAIR, DUPLICATE_PAIR, Bucket
from rejoinder.pipelines.shards.encode import PairEncoder, ShardData, Tokenize
from rejoinder.pipelines.shards.shared_texts import SharedTexts
from rejoinder.pipelines.shards.statistics import PairStatistics
from rejoinder.pipelines.shuffle import duplicates, hashing, partition

_ORDER_SEED = 2


def process_bucket(
    blobs: Sequence[bytes],
    options: ExtractOptions,
    tokenize: Tokenize,
    to_drop: Sequence[bytes] = (),
    growth: state.Growth | None = None,
    evaluation: tuple[str, ...] = (),
) -> Bucket:
    """Makes a bucket's shards.

    Args:
        blobs: The bucket's comments, from `partition.partition_threads`, in any order.
        options: The options of the extraction.
        tokenize: Texts to token ids.
        to_drop: Duplicate pairs to drop, from `duplicates.duplicates_to_drop`.
        growth: What a corpus that can grow needs; None for any other.
        evaluation: N-grams of evaluations; pairs that contain one are dropped.

    Returns:
        The shards, counters and statistics. They do not depend on the order of `blobs`. Those
        of an extension are what it adds to the corpus.
    """
    carried = growth.carried if growth else None
    found = _join(blobs, options, carried)
    bucket = make_shards(
        _drop_contaminated(_drop_duplicates(found, to_drop), evaluation), options, tokenize
    )
    if growth is None:
        return bucket
    if carried is not None:
        bucket.statistics.thread_sizes.subtract(dict(state.thread_sizes(carried)))
    return dataclasses.replace(bucket, state=state.encode(_next_state(found, growth, options)))


def _next_state(
    found: threads.Threads, growth: state.Growth, options: ExtractOptions
) -> pl.DataFrame:
    """Returns the comments that later months may need, with the columns of `state.SCHEMA`."""
    total = found.rows.height
    digest = pl.Series([None], dtype=pl.Binary).new_from_index(0, total)
    if growth.carried is not None:  # its rows are the last ones
        old = growth.carried.get_column("digest")
        digest = digest.head(total - len(old)).append(old)
    if options.drop_duplicates:
        keys = _digests(found, found.rows.get_column("body"))
        digest = digest.scatter(found.response, keys.get_column("digest"))
    rows = found.rows.with_columns(waiting=pl.Series(found.waiting), digest=digest)
    return state.kept(rows, growth.oldest_month)


def _digests(found: threads.Threads, body: pl.Series) -> pl.DataFrame:
    """Returns the keys of the pairs, see `duplicates.pair_keys`."""
    origin = _pick(found.rows, ("thread", "id"), found.response)
    return duplicates.pair_keys(body[found.parent[found.response]], body[found.response], origin)


def make_shards(found: threads.Threads, options: ExtractOptions, tokenize: Tokenize) -> Bucket:
    """Makes the shards of joined comments, see `process_bucket`."""
    order = shard_order(_pick(found.rows, ("thread", "id"), found.response))
    response = found.response[order]
    context = found.parent[response]
    ancestors = threads.ancestors(found, options.extra_contexts)[order]
    encoder = PairEncoder(found.rows.get_column("body"), context, response, tokenize, ancestors)
    responses = _pick(found.rows, ("thread", "subreddit", "month"), response)
    is_train = hashing.train_rows(responses.get_column("thread"))
    is_submission = threads.submission_rows(found.rows.get_column("id"))
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
        of_submission = int(np.sum(is_submission[context[pairs]]))
        counters[f"pair/{split}"] = len(pairs) - of_submission
        if of_submission:
            counters[f"pair/{split}/{threads.OF_SUBMISSION}"] = of_submission
    statistics = PairStatistics.of(
        encoder,
        subreddits=responses.get_column("subreddit"),
        months=responses.get_column("month"),
        threads=found.rows.get_column("thread"),
    )
    shared = SharedTexts.of(*(_texts(found, response, is_train == kept) for kept in (True, False)))
    return Bucket(shards, counters, statistics, shared)


def _texts(found: threads.Threads, response: np.ndarray, kept: np.ndarray) -> pl.Series:
    """Returns the different texts of the pairs with the responses `response[kept]`."""
    rows = np.union1d(response[kept], found.parent[response[kept]])
    return found.rows.get_column("body").gather(pl.Series(rows))


def reddit_pair_keys(
    blobs: Sequence[bytes], options: ExtractOptions, carried: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Returns the keys of a bucket's pairs, see `duplicates.pair_keys`.

    Args:
        blobs: The bucket's comments, from `partition.partition_threads`.
        options: The options of the extraction.
        carried: The bucket's rows of the state of a corpus that is extended. Its pairs have an
            empty thread and id, which are the smallest: of equal pairs they are kept.
    """
    found = _join(blobs, options, carried)
    keys = _digests(found, found.rows.get_column("body"))
    if carried is None:
        return keys
    old = carried.select("digest").drop_nulls()
    empty = pl.lit("", pl.String)
    return pl.concat([keys, old.select(thread=empty, id=empty, digest="digest")])


def _pick(rows: pl.DataFrame, columns: Sequence[str], picked: np.ndarray) -> pl.DataFrame:
    """Returns some columns of the rows `picked`, int64 [k]."""
    return rows.select(columns)[picked]


def _join(
    blobs: Sequence[bytes], options: ExtractOptions, carried: pl.DataFrame | None
) -> threads.Threads:
    filter_names = [f.name for f in filters.build_filters(options)]
    winners = filters.GONE if options.copies == "deleted" else ()
    return threads.join_threads(partition.merge(blobs), filter_names, carried, winners)


def _drop_duplicates(found: threads.Threads, to_drop: Sequence[bytes]) -> threads.Threads:
    if not to_drop:
        return found
    responses = _pick(found.rows, ("thread", "id"), found.response).with_row_index("at")
    dropped = duplicates.read_duplicates_to_drop(to_drop)
    kept = responses.join(dropped, on=["thread", "id"], how="anti")
    response = found.response[np.sort(kept.get_column("at").to_numpy())]
    counters = found.counters
    counters[DUPLICATE_PAIR] = len(found.response) - len(response)
    return dataclasses.replace(found, response=response)


def _drop_contaminated(found: threads.Threads, evaluation: tuple[str, ...]) -> threads.Threads:
    """Drops the pairs one of whose texts contains an n-gram of an evaluation."""
    if not evaluation:
        return found
    index = contamination.contamination_of(evaluation)
    context = found.parent[found.response]
    used = np.union1d(context, found.response)
    texts = found.rows.get_column("body").gather(pl.Series(used))
    bad = used[np.fromiter(map(index.contains, texts), bool, len(used))]
    dropped = np.isin(context, bad) | np.isin(found.response, bad)
    found.counters[CONTAMINATED_PAIR] = int(np.sum(dropped))
    return dataclasses.replace(found, response=found.response[~dropped])


def shard_order(responses: pl.DataFrame) -> np.ndarray:
    """Returns int64 [p], the order of pairs in a shard: a shuffle that depends on ids alone.

    Args:
        responses: Frame [p] with `thread` and `id` of each response.
    """
    key = hashing.hash_strings(responses.get_column("id"), _ORDER_SEED)
    order = np.argsort(key)
    if np.any(key[order[1:]] == key[order[:-1]]):  # ids with equal hashes
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
        sources[names.extra_context_author(index)] = ("author", ancestors[:, index])
        sources[names.extra_context_id(index)] = ("id", ancestors[:, index])
    return {name: _column(rows, column, picked) for name, (column, picked) in sources.items()}


def _column(rows: pl.DataFrame, name: str, picked: np.ndarray) -> pa.Array:
    """Returns large_string [k], a column at rows `picked`, int64 [k]; row -1 gives null."""
    values = rows.get_column(name).gather(pl.Series(np.maximum(picked, 0)))
    array = values.to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.compute.if_else(pa.array(picked >= 0), array, None) if (picked < 0).any() else array
