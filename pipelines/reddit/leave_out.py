"""Leaves out of later months what `rejoinder forget` removed from the corpus that they extend."""

import dataclasses
from collections.abc import Sequence

import polars as pl

from rejoinder.pipelines.dumps.lines import Reject
from rejoinder.pipelines.growth.forgotten import UNKNOWN_PARENT, Forgotten
from rejoinder.pipelines.reddit.excerpts import may_show

# Counter of the comments that are left out.
FORGOTTEN_COMMENT = "forgotten/comment"


def leave_out(
    parsed: pl.DataFrame, rejects: Sequence[Reject], forgotten: Forgotten
) -> tuple[pl.DataFrame, list[Reject]]:
    """Leaves out the comments that are listed, by their id or their author.

    Args:
        parsed: Comments, from `parse.parse_chunk`.
        rejects: The rejected lines.
        forgotten: The list.

    Returns:
        The other comments, without the ids of listed parents, and the rejected lines, without the
        excerpts that may show a listed comment.
    """
    ids = forgotten.find_ids(parsed.get_column("id"))
    authors = forgotten.find_authors(parsed.get_column("author"))
    gone = pl.col("id").is_in(ids) | pl.col("author").is_in(authors).fill_null(False)
    kept = parsed.filter(~gone)
    parents = forgotten.find_ids(kept.get_column("parent"))
    parent = (
        pl.when(pl.col("parent").is_in(parents)).then(pl.lit(UNKNOWN_PARENT)).otherwise("parent")
    )
    return kept.with_columns(parent=parent), [
        dataclasses.replace(reject, excerpt="") if may_show(reject.excerpt, forgotten) else reject
        for reject in rejects
    ]
