"""Converts a parsed chunk to the rows of the shuffle."""

import numpy as np
import polars as pl

from rejoinder.pipelines.reddit import markdown
from rejoinder.pipelines.reddit.filters import PASSED, Filter, reason, trim, with_length
from rejoinder.pipelines.reddit.line_parser import SUBMISSION_PREFIX
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.reddit.times import iso_seconds
from rejoinder.pipelines.shuffle import hashing

# Months are counted from year 0. A timestamp before Reddit's first year or far in
# the future is invalid.
_FIRST_MONTH = 2005 * 12
# Month of each day since 1970-01-01; a table is several times faster than calendar functions.
_DAY_SECONDS = 86_400
_MONTH_OF_DAY = (
    np.arange("1970-01-01", "2100-02-01", dtype="datetime64[D]").astype("datetime64[M]").view("i8")
    + 1970 * 12
).astype(np.int16)
# Numbers from here on are milliseconds: as seconds they are after the year 5000.
_FIRST_MILLISECONDS = 1e11

_SAMPLE_SEED = 3


def sample(parsed: pl.DataFrame, share: float) -> pl.DataFrame:
    """Keeps a share of the threads, each whole; a larger share contains a smaller one."""
    hashes = hashing.hash_strings(parsed.get_column("thread"), _SAMPLE_SEED)
    return parsed.filter(pl.Series(hashes < np.uint64(min(int(share * 2.0**64), 2**64 - 1))))


def to_rows(parsed: pl.DataFrame, filters: list[Filter], options: ExtractOptions) -> pl.DataFrame:
    """Applies the filters and computes the columns of the shuffle.

    With submissions the parent of a top-level comment is its submission, whose row has no parent.
    A filtered comment keeps its row, because it is part of the thread, but its text is
    removed. If extra contexts are asked for, its text is trimmed instead, and its author stays.

    Args:
        parsed: Comments, from `parse.parse_chunk`.
        filters: From `filters.build_filters`.
        options: The options of the extraction.

    Returns:
        One row per comment, with the columns of `partition.SCHEMA`.
    """
    if options.clean_text:
        parsed = parsed.with_columns(markdown.clean(pl.col("body")).alias("body"))
    if options.after or options.before:
        seconds = pl.Series(_seconds(parsed.get_column("created_utc")))
        parsed = parsed.with_columns(seconds=seconds)
    # Null rows of a gathered column have no text, those of `when` alone keep it in its buffer.
    passed = pl.when(pl.col("reason") == PASSED).then(pl.int_range(pl.len(), dtype=pl.UInt32))
    body: pl.Expr = pl.col("body").gather(passed)
    author: pl.Expr = pl.col("author").gather(passed)
    if options.extra_contexts:
        limit = options.max_chars
        trimmed = pl.col("body").map_elements(
            lambda text: trim(text, limit), return_dtype=pl.String
        )
        body = pl.when(pl.col("body").str.len_chars() <= limit).then("body").otherwise(trimmed)
        author = pl.col("author")
    parent = pl.col("parent")
    if options.submissions:
        first = pl.lit(SUBMISSION_PREFIX) + pl.col("thread")
        parent = pl.when(pl.col("id") != first).then(parent.fill_null(first))
    rows = with_length(parsed).with_columns(
        reason=reason(filters), month=months(parsed.get_column("created_utc"))
    )
    return rows.select(
        "id",
        "thread",
        parent.alias("parent"),
        body.alias("body"),
        author.alias("author"),
        pl.col("subreddit").gather(passed),
        "month",
        "reason",
    )


def months(created: pl.Series) -> pl.Series:
    """Returns int16 [n], months counted from year 0, null where there is no time.

    Args:
        created: String [n], `created_utc`: seconds or milliseconds since 1970, or ISO 8601.
    """
    seconds = _seconds(created)
    known = (seconds >= 0) & (seconds < len(_MONTH_OF_DAY) * _DAY_SECONDS)  # false for NaN
    month = _MONTH_OF_DAY[np.where(known, seconds, 0).astype(np.int64) // _DAY_SECONDS]
    known &= month >= _FIRST_MONTH
    return pl.Series(month) if known.all() else pl.Series(month).set(pl.Series(~known), None)


def _seconds(created: pl.Series) -> np.ndarray:
    """Returns float64 [n], seconds since 1970 of `created_utc`, NaN where there is no time."""
    number = created.cast(pl.Float64, strict=False)
    if number.null_count() > created.null_count():
        text = pl.select(pl.when(number.is_null()).then(created)).to_series()
        parsed = text.map_elements(iso_seconds, return_dtype=pl.Float64, skip_nulls=True)
        number = number.fill_null(parsed)
    seconds = number.to_numpy()  # NaN for null
    return np.where(np.abs(seconds) >= _FIRST_MILLISECONDS, seconds / 1000, seconds)
