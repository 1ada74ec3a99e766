"""Removes comments from the thread state of a corpus.

A reply to a forgotten comment stays, because it may be a context of later months. Its parent
becomes `UNKNOWN_PARENT`, which no comment has: so it never makes a pair as a response.
"""

from collections import Counter
from collections.abc import Iterable
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


def count(path: str, ids: Iterable[str]) -> StateRemoval:
    """Returns what is to be removed of a file.

    Raises:
        UserError: The file is missing or damaged.
    """
    rows, wanted = state.read_file(path), list(ids)
    gone = pl.col("id").is_in(wanted)
    found = rows.select(
        comments=gone.sum(), replies=(~gone & pl.col("parent").is_in(wanted).fill_null(False)).sum()
    )
    return StateRemoval(*found.row(0))


def rewrite(path: str, ids: Iterable[str]) -> NewState:
    """Returns a file without the forgotten comments.

    Raises:
        UserError: The file is missing or damaged.
    """
    rows, wanted = state.read_file(path), list(ids)
    answers_forgotten = pl.col("parent").is_in(wanted).fill_null(False)
    kept = rows.filter(~pl.col("id").is_in(wanted)).with_columns(
        parent=pl.when(answers_forgotten).then(pl.lit(UNKNOWN_PARENT)).otherwise("parent"),
        digest=pl.when(~answers_forgotten).then("digest"),  # the pair is removed
    )
    sizes = Counter(dict(state.thread_sizes(rows)))
    sizes.subtract(dict(state.thread_sizes(kept)))
    return NewState(state.encode(kept), sizes)
