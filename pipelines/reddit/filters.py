"""Filters that decide which comments may be a context or a response.

Each filter is a named predicate over columns. Filters are applied in order, and a
comment is counted under the first one that drops it: `filtered/<name>`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rejoinder.pipelines.reddit import removals
from rejoinder.pipelines.reddit.options import ExtractOptions
from rejoinder.pipelines.reddit.times import read_time

# Value of the column `reason` for a comment that passed every filter.
PASSED = 0

# Filters of texts that are gone.
GONE = (
    *("deleted", "removed", "removed_by_reddit"),
    *(removals.DELETED, removals.REMOVED, removals.REMOVED_BY_REDDIT),
)

# Accounts that declare themselves to be programs, by name or by text.
_BOT_AUTHOR = (
    r"^(?:AutoModerator|autotldr|TotesMessenger|imguralbumbot|WikiTextBot|RemindMeBot)$"
    r"|[-_][Bb]ot$|Bot$|BOT$"
)
_BOT_TEXT = r"(?i)\bI(?:'| a|\x{2019})m a bot\b|\bthis action was performed automatically\b"


@dataclass(frozen=True)
class Filter:
    """One reason to drop a comment.

    Attributes:
        name: Name of its counter, without `filtered/`.
        drops: Boolean expression over the columns of `with_length`, and `seconds` for
            `too_early` and `too_late`; null keeps the row.
    """

    name: str
    drops: pl.Expr


def optional_columns(options: ExtractOptions) -> list[str]:
    """Returns the columns of `parse.OPTIONAL_COLUMNS` that the filters need."""
    columns = {
        "score": options.min_score is not None,
        "over_18": options.drop_over_18,
        "removal": options.drop_deleted_later,
    }
    return [name for name, needed in columns.items() if needed]


def with_length(parsed: pl.DataFrame) -> pl.DataFrame:
    """Adds the column `length`, the code points of the text, once for all filters that need it."""
    return parsed.with_columns(length=pl.col("body").str.len_chars())


def build_filters(options: ExtractOptions) -> list[Filter]:
    """Returns the filters that the options select, in the order of their application."""
    body, author = pl.col("body"), pl.col("author")
    length = pl.col("length")
    later = removals.KINDS if options.drop_deleted_later else ()
    filters = [
        *(Filter(kind, pl.col("removal") == kind) for kind in later),
        Filter("deleted", body == "[deleted]"),
        Filter("removed", body == "[removed]"),
    ]
    if options.drop_removed_by_reddit:
        filters.append(
            Filter("removed_by_reddit", body.str.contains(r"^\[ ?[Rr]emoved by [Rr]eddit ?\]"))
        )
    subreddit = pl.col("subreddit").str.to_lowercase()
    if options.subreddits:
        allowed = [name.lower() for name in options.subreddits]
        filters.append(Filter("subreddit_not_listed", ~subreddit.is_in(allowed)))
    if options.block_subreddits:
        blocked = [name.lower() for name in options.block_subreddits]
        filters.append(Filter("subreddit_blocked", subreddit.is_in(blocked)))
    if options.drop_over_18:
        filters.append(Filter("over_18", pl.col("over_18") == "true"))
    seconds = pl.col("seconds").fill_nan(None)
    if options.after:
        too_early = seconds < read_time("--after", options.after)
        filters.append(Filter("too_early", too_early | seconds.is_null()))
    if options.before:
        too_late = seconds >= read_time("--before", options.before)
        filters.append(Filter("too_late", too_late | seconds.is_null()))
    if options.min_score is not None:
        score = pl.col("score").cast(pl.Float64, strict=False)
        filters.append(Filter("low_score", (score < options.min_score) | score.is_null()))
    if options.drop_bots:
        filters.append(
            Filter("bot", author.str.contains(_BOT_AUTHOR) | body.str.contains(_BOT_TEXT))
        )
    return [
        *filters,
        Filter("too_short", length < options.min_chars),
        Filter("too_long", length > options.max_chars),
    ]


def reason(filters: Sequence[Filter]) -> pl.Expr:
    """Returns uint8: 1 + index of the first filter that drops the row, or `PASSED`."""
    expression: pl.Expr = pl.lit(PASSED, pl.UInt8)
    for index in reversed(range(len(filters))):
        expression = (
            pl.when(filters[index].drops).then(pl.lit(index + 1, pl.UInt8)).otherwise(expression)
        )
    return expression


def trim(text: str, max_chars: int) -> str:
    """Returns `text` cut to at most `max_chars` characters without splitting a word.

    As in PolyAI's extractor, the text is cut between an alphanumeric and another
    character; of a single word that is too long nothing is left.
    """
    if len(text) <= max_chars:
        return text
    alphanumeric: list[bool] = list(map(str.isalnum, text[: max_chars + 1]))
    end = max_chars
    while end and alphanumeric[end] == alphanumeric[end - 1]:
        end -= 1
    return text[:end]
