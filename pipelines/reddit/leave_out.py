"""Leaves out of later months what `rejoinder forget` removed from the corpus that they extend."""

import dataclasses
from collections.abc import Callable, Sequence

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
    gone = _listed(parsed.get_column("id"), forgotten.has_id)
    if forgotten.authors:
        gone = gone | _listed(parsed.get_column("author"), forgotten.has_author)
    kept = parsed.filter(~gone)
    answers_listed = _listed(kept.get_column("parent"), forgotten.has_id)
    parent = pl.when(answers_listed).then(pl.lit(UNKNOWN_PARENT)).otherwise("parent")
    return kept.with_columns(parent=parent), [
        dataclasses.replace(reject, excerpt="") if may_show(reject.excerpt, forgotten) else reject
        for reject in rejects
    ]


def _listed(values: pl.Series, is_listed: Callable[[str], bool]) -> pl.Series:
    """Returns bool [n], which of the values are listed; null is not."""
    found = [value for value in values.drop_nulls().unique().to_list() if is_listed(value)]
    return values.is_in(found).fill_null(False)
