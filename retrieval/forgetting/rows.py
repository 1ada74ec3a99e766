"""Finds the rows of a table that are of a comment or an author to forget."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rejoinder.corpus.features import CONTEXT_AUTHOR, CONTEXT_ID, RESPONSE_AUTHOR, RESPONSE_ID
from rejoinder.errors import UserError
from rejoinder.pipelines.forgetting.names import Names

# Columns that name the comment of a row, or the two of a pair. A folder needs one of these sets.
_IDS = (("name",), ("id",), (RESPONSE_ID, CONTEXT_ID))
_AUTHORS = (("author",), (RESPONSE_AUTHOR, CONTEXT_AUTHOR))
# Column that names another comment than that of the row.
_PARENT = "parent_id"
# Fields of submissions, whose `id` has no prefix that tells it from that of a comment.
_SUBMISSION_FIELDS = ("title", "selftext")


class Wanted(NamedTuple):
    """What a folder of rows loses.

    Attributes:
        removed: bool [n], rows that are removed.
        parents: bool [n], rows whose `parent_id` is removed.
    """

    removed: NDArray[np.bool_]
    parents: NDArray[np.bool_]

    @property
    def changes(self) -> bool:
        """Whether there is any such row."""
        return bool(self.removed.any() or self.parents.any())


def check_columns(folder: str, columns: Collection[str], field: str | None, names: Names) -> None:
    """Checks that the rows of a folder name their comments.

    Args:
        folder: The folder, for messages.
        columns: Names of its columns.
        field: The field that was embedded; None if it is not known.
        names: What to forget.

    Raises:
        UserError: They do not.
    """
    wanted = _IDS[:1] if field in _SUBMISSION_FIELDS else _IDS
    if not _first(wanted, columns):
        hint = "name" if field in _SUBMISSION_FIELDS else f"id (of a corpus: {' '.join(_IDS[-1])})"
        raise UserError(
            f"{folder}: its rows have no ids of comments, so they cannot be found; leave it out "
            f"here and make it again afterwards, of embeddings with --keep {hint}"
        )
    if names.authors and not _first(_AUTHORS, columns):
        raise UserError(
            f"{folder}: its rows have no authors; give the comments' ids with --ids only, or leave "
            f"it out here and make it again afterwards, of embeddings with --keep author (of a "
            f"corpus: {' '.join(_AUTHORS[-1])})"
        )


def find(table: pa.Table, field: str | None, names: Names) -> Wanted:
    """Returns the rows of a table [n] that lose something.

    Args:
        table: A table with the columns that `check_columns` asks for.
        field: The field that was embedded; None if it is not known.
        names: What to forget.
    """
    removed = np.zeros(table.num_rows, np.bool_)
    for sets, is_listed in ((_IDS, names.has_id), (_AUTHORS, names.has_stored_author)):
        for name in {name for columns in sets for name in columns} & {*table.column_names}:
            if name == "id" and field in _SUBMISSION_FIELDS:
                continue
            removed |= [is_listed(value) for value in _texts(table, name)]
    parents = np.zeros(table.num_rows, np.bool_)
    if _PARENT in table.column_names:
        parents |= [names.has_id(value) for value in _texts(table, _PARENT)]
    return Wanted(removed, parents & ~removed)


def without(table: pa.Table, wanted: Wanted) -> pa.Table:
    """Returns a table without what `find` found in it."""
    if wanted.parents.any():
        at = table.column_names.index(_PARENT)
        column = table[_PARENT].combine_chunks()
        emptied = pc.if_else(pa.array(wanted.parents), pa.scalar(None, column.type), column)
        table = table.set_column(at, table.schema.field(at), emptied)
    return table.filter(pa.array(~wanted.removed))


def _first(sets: Sequence[Sequence[str]], columns: Collection[str]) -> Sequence[str] | None:
    return next((found for found in sets if {*found} <= {*columns}), None)


def _texts(table: pa.Table, name: str) -> list[str]:
    """Returns the values of a column; ids lose the prefix of comments, null is ""."""
    values = table[name].to_pylist()
    return ["" if value is None else str(value).removeprefix("t1_") for value in values]
