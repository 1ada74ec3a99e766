"""From a parsed chunk to the rows that cross the shuffle."""

import numpy as np
import polars as pl

from rejoinder.pipelines.reddit import markdown
from rejoinder.pipelines.reddit.filters import PASSED, Filter, reason, trim
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.shuffle import hashing
from rejoinder.pipelines.shuffle.partition import COLUMNS

# Months are counted from year 0; a timestamp before Reddit's first year or far
# in the future is a broken one.
_FIRST_MONTH, _LAST_MONTH = 2005 * 12, 2100 * 12

_SAMPLE_SEED = 3


def sample(parsed: pl.DataFrame, share: float) -> pl.DataFrame:
    """Keeps a share of the threads, each whole; a larger share keeps the same and more."""
    hashes = hashing.hash_strings(parsed.get_column("thread"), _SAMPLE_SEED)
    return parsed.filter(pl.Series(hashes < np.uint64(min(int(share * 2.0**64), 2**64 - 1))))


def to_rows(parsed: pl.DataFrame, filters: list[Filter], options: ExtractOptions) -> pl.DataFrame:
    """Returns the columns of `partition.SCHEMA`.

    A filtered comment keeps its place in the thread but loses its text, unless
    it may serve as an extra context: then it is trimmed.
    """
    if options.clean_text:
        parsed = parsed.with_columns(markdown.clean(pl.col("body")).alias("body"))
    rows = parsed.with_columns(reason=reason(filters), month=_month())
    passed = pl.col("reason") == PASSED
    body: pl.Expr = pl.when(passed).then(pl.col("body"))
    if options.extra_contexts:
        limit = options.max_chars
        trimmed = pl.col("body").map_elements(
            lambda text: trim(text, limit), return_dtype=pl.String
        )
        body = pl.when(pl.col("body").str.len_chars() <= limit).then("body").otherwise(trimmed)
    return rows.select(
        "id",
        "thread",
        "parent",
        body.alias("body"),
        pl.when(passed).then("author").alias("author"),
        pl.when(passed).then("subreddit").alias("subreddit"),
        "month",
        "reason",
    ).select(COLUMNS)


def _month() -> pl.Expr:
    seconds = pl.col("created_utc").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
    date = pl.from_epoch(seconds, time_unit="s").dt
    month = date.year().cast(pl.Int32) * 12 + date.month().cast(pl.Int32) - 1
    return pl.when(month.is_between(_FIRST_MONTH, _LAST_MONTH)).then(month).cast(pl.Int16)
