"""Converts a parsed chunk to the rows of the shuffle."""

import numpy as np
import polars as pl

from rejoinder.pipelines.reddit import markdown
from rejoinder.pipelines.reddit.filters import PASSED, Filter, reason, trim
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.shuffle import hashing
from rejoinder.pipelines.shuffle.partition import COLUMNS

# Months are counted from year 0. A timestamp before Reddit's first year or far in
# the future is invalid.
_FIRST_MONTH, _LAST_MONTH = 2005 * 12, 2100 * 12

_SAMPLE_SEED = 3


def sample(parsed: pl.DataFrame, share: float) -> pl.DataFrame:
    """Keeps a share of the threads, each whole; a larger share contains a smaller one."""
    hashes = hashing.hash_strings(parsed.get_column("thread"), _SAMPLE_SEED)
    return parsed.filter(pl.Series(hashes < np.uint64(min(int(share * 2.0**64), 2**64 - 1))))


def to_rows(parsed: pl.DataFrame, filters: list[Filter], options: ExtractOptions) -> pl.DataFrame:
    """Applies the filters and computes the columns of the shuffle.

    A filtered comment keeps its row, because it is part of the thread, but its text is
    removed. If extra contexts are asked for, its text is trimmed instead.

    Args:
        parsed: Comments, from `parse.parse_chunk`.
        filters: From `filters.build_filters`.
        options: The options of the extraction.

    Returns:
        One row per comment, with the columns of `partition.SCHEMA`.
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
