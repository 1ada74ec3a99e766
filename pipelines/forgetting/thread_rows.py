"""Removes comments from the thread state of a corpus.

A reply to a forgotten comment stays, because it may be a context of later months. Its parent
becomes `UNKNOWN_PARENT`, which no comment has: so it never makes a pair as a response.
"""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from rejoinder.pipelines.forgetting.names import Names
from rejoinder.pipelines.growth import state
from rejoinder.pipelines.growth.forgotten import UNKNOWN_PARENT


@dataclass(frozen=True)
class StateRemoval:
    """What is removed of a file of the state.

    Attributes:
        comments: Comments that are removed.
        replies: Comments whose parent is no longer known.
    """

    comments: int = 0
    replies: int = 0


@dataclass(frozen=True)
class NewState:
    """A file of the state without the forgotten comments.

    Attributes:
        data: Its bytes.
        removed: Threads by number of comments that the histogram of the report loses; negative
            where it gains some.
    """

    data: bytes
    removed: Counter[str] = field(default_factory=Counter)


def ids_of_authors(path: str, names: Names) -> set[str]:
    """Returns the ids of the authors' comments in a file; those that were filtered have no author.

    Args:
        path: The file.
        names: What to forget.

    Raises:
        UserError: The file is missing or damaged.
    """
    rows = state.read_file(path)
    distinct = rows.get_column("author").drop_nulls().unique().to_list()
    theirs = [author for author in distinct if names.has_stored_author(author)]
    return set(rows.filter(pl.col("author").is_in(theirs)).get_column("id"))


def count(path: str, names: Names) -> StateRemoval:
    """Returns what is to be removed of a file.

    Raises:
        UserError: The file is missing or damaged.
    """
    gone, replies = _find(state.read_file(path), names)
    return StateRemoval(int(gone.sum()), int(replies.sum()))


def rewrite(path: str, names: Names) -> NewState:
    """Returns a file without the forgotten comments.

    Raises:
        UserError: The file is missing or damaged.
    """
    rows = state.read_file(path)
    gone, replies = _find(rows, names)
    kept = rows.with_columns(
        parent=pl.when(replies).then(pl.lit(UNKNOWN_PARENT)).otherwise("parent"),
        digest=pl.when(~replies).then("digest"),  # the pair is removed
    ).filter(~gone)
    sizes = Counter(dict(state.thread_sizes(rows)))
    sizes.subtract(dict(state.thread_sizes(kept)))
    return NewState(state.encode(kept), sizes)


def _find(rows: pl.DataFrame, names: Names) -> tuple[pl.Series, pl.Series]:
    """Returns bool [n] each: which comments are forgotten, and which others answer one."""
    gone, replies = (
        pl.Series([value in names.ids for value in rows.get_column(name)], dtype=pl.Boolean)
        for name in ("id", "parent")
    )
    return gone, replies & ~gone
