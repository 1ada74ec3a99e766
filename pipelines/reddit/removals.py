"""Comments and submissions that were deleted or removed after the archive had taken their text.

Arctic Shift collects everything a second time 36 hours later, since 2023-11, and says under
`_meta` what had changed
(https://github.com/ArthurHeitmann/arctic_shift/blob/master/file_content_explanations.md). The
text in the dump is that of the first time.
"""

from typing import Any

import polars as pl

DELETED = "deleted_later"
REMOVED = "removed_later"
REMOVED_BY_REDDIT = "removed_by_reddit_later"
CORRUPTED = "corrupted"
# Values of the column `removal`, which are the names of the filters.
KINDS = (DELETED, REMOVED, REMOVED_BY_REDDIT, CORRUPTED)

# Parts of the keys of `_meta` without which nothing happened to a line.
MARKS = ("was_deleted_later", "removal_type", "corrupted_")

# Values of `removal_type`, of comments and of submissions; any other one is of a moderator.
_OF_AUTHOR = ("deleted", "author")
_OF_REDDIT = (
    *("removed by reddit", "reddit", "content_takedown", "copyright_takedown"),
    *("anti_evil_ops", "community_ops"),
)


def removal_of(meta: Any) -> str | None:
    """Returns one of `KINDS`, None if the text was not removed.

    A text that was gone at first and came back has a `removal_type` too, and is not removed.

    Args:
        meta: The value of `_meta`, of any type.
    """
    if not isinstance(meta, dict):
        return None
    kind = meta.get("removal_type")
    if meta.get("was_deleted_later") or (kind and not meta.get("was_initially_deleted")):
        if not kind or kind in _OF_AUTHOR:
            return DELETED
        return REMOVED_BY_REDDIT if kind in _OF_REDDIT else REMOVED
    return CORRUPTED if {"corrupted_body", "corrupted_selftext"} & meta.keys() else None


def hide(parsed: pl.DataFrame) -> pl.DataFrame:
    """Replaces removed texts by what a dump of a later day has in their place.

    So they are not in further contexts and in samples of the report either.

    Args:
        parsed: Comments with the column `removal`.
    """
    removal = pl.col("removal")
    body = (
        pl.when(removal.is_null())
        .then("body")
        .when(removal == DELETED)
        .then(pl.lit("[deleted]"))
        .otherwise(pl.lit("[removed]"))
    )
    return parsed.with_columns(body=body)
