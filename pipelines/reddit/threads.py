"""Joins the comments of a bucket into threads and finds its (context, response) pairs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from rejoinder.pipelines.reddit.filters import PASSED
from rejoinder.pipelines.reddit.line_parser import SUBMISSION_PREFIX

# Counter of submissions that passed the filters.
SUBMISSION = "submission/passed"
# Counters of comments that passed the filters but are not the response of a pair.
TOP_LEVEL = "no_pair/top_level"
NO_PARENT = "no_pair/parent_not_in_input"
PARENT_FILTERED = "no_pair/parent_filtered"
CYCLE = "no_pair/cycle"
DUPLICATE_ID = "duplicate_id"
PAIR = "pair"
OF_SUBMISSION = "submission"  # last part of the counter of pairs whose context is a submission


@dataclass(frozen=True)
class Threads:
    """The comments of a bucket, their parents and their pairs.

    Attributes:
        rows: One row per comment id, with the columns of `partition.COLUMNS`.
        parent: int64 [n], row of the parent, -1 if there is none.
        response: int64 [p], rows of the responses; the context of each is its parent.
        counters: Every input row in exactly one counter.
        waiting: bool [n], whether a comment passed the filters and its parent is missing.
    """

    rows: pl.DataFrame
    parent: np.ndarray
    response: np.ndarray
    counters: Counter[str]
    waiting: np.ndarray


def join_threads(
    rows: pl.DataFrame,
    filter_names: list[str],
    carried: pl.DataFrame | None = None,
    winners: Sequence[str] = (),
) -> Threads:
    """Joins every comment with its parent inside its thread.

    A pair is a response and its direct parent that both pass the filters, on a path
    of replies that begins at a comment without parent. As in PolyAI's extractor,
    comments in a cycle of replies, and replies to those, are not pairs.

    Args:
        rows: All comments of some threads, with `partition.COLUMNS`, in any order.
        filter_names: Names of the filters; the column `reason` is 1 + an index in here.
        carried: The state of a corpus that is extended (`rejoinder.pipelines.growth.state`). Its
            comments may be contexts, and those that wait for a parent may be responses; of
            equal ids its comment counts. The counters are the differences to those of the corpus.
        winners: Names of filters: of equal ids, a comment that one of them drops counts before all
            others.
    """
    total = rows.height
    first = [number for number, name in enumerate(filter_names, 1) if name in winners]
    rows = _one_row_per_id(rows, first)
    if carried is not None:
        rows = rows.join(carried.select("thread", "id"), on=["thread", "id"], how="anti")
    new = rows.height
    open_rows = np.ones(new, bool)  # those whose outcome is not known from an earlier run
    waited = 0
    if carried is not None:
        was_waiting = carried.get_column("waiting").to_numpy()
        open_rows = np.concatenate([open_rows, was_waiting])
        waited = int(np.sum(was_waiting))
        rows = pl.concat([rows, carried.select(rows.columns)], rechunk=True)
    parent = _parent_rows(rows)
    passed = (rows.get_column("reason") == PASSED).to_numpy()
    has_parent_id = rows.get_column("parent").is_not_null().to_numpy()
    rooted = _rooted(parent)
    found = parent >= 0
    parent_passed = np.zeros(rows.height, bool)
    parent_passed[found] = passed[parent[found]]
    passed &= open_rows
    pair = passed & parent_passed & rooted
    waiting = passed & has_parent_id & ~found

    counters: Counter[str] = Counter()
    counters[DUPLICATE_ID] = total - new
    ids, reason = rows.get_column("id"), rows.get_column("reason").to_numpy()
    for name, number, members in filter_counters(ids[:new], filter_names):
        counters[name] = int(np.sum(members & (reason[:new] == number)))
    is_submission = submission_rows(ids)
    counters[TOP_LEVEL] = int(np.sum(passed & ~has_parent_id & ~is_submission))
    if is_submission.any():
        counters[SUBMISSION] = int(np.sum(passed & is_submission))
    counters[NO_PARENT] = int(np.sum(waiting)) - waited
    counters[CYCLE] = int(np.sum(passed & found & ~rooted))
    counters[PARENT_FILTERED] = int(np.sum(passed & found & rooted & ~parent_passed))
    counters[PAIR] = int(np.sum(pair))
    return Threads(rows, parent, np.flatnonzero(pair), counters, waiting)


def submission_rows(ids: pl.Series) -> np.ndarray:
    """Returns bool [n], which of the ids, string [n], are those of submissions."""
    return ids.str.starts_with(SUBMISSION_PREFIX).to_numpy()


def filter_counters(
    ids: pl.Series, filter_names: Sequence[str]
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yields the counters of filtered rows: comments and submissions are counted apart.

    Args:
        ids: String [n], the id of each row.
        filter_names: Names of the filters, in order.

    Yields:
        The counter's name, the value of `reason`, and bool [n], the rows that it may count.
    """
    is_submission = submission_rows(ids)
    kinds = {"": ~is_submission} | ({"submission/": is_submission} if is_submission.any() else {})
    for prefix, members in kinds.items():
        for number, name in enumerate(filter_names, 1):
            yield f"{prefix}filtered/{name}", number, members


def _one_row_per_id(rows: pl.DataFrame, first: Sequence[int]) -> pl.DataFrame:
    """Keeps one of the rows with equal thread and id; the choice does not depend on their order.

    Args:
        rows: Rows with `partition.COLUMNS`.
        first: Values of `reason` of the rows that are kept before all others.
    """
    if rows.select(_key("id").n_unique()).item() == rows.height:
        return rows  # different keys prove different ids
    before = [~pl.col("reason").is_in(first)] if first else []
    # Then a row that passed the filters comes first; the other columns make the order total.
    order = ["reason", "body", "author", "subreddit", "parent", "month"]
    key = ["thread", "id"]
    ordered = rows.sort([*key, *before, *order], nulls_last=True)
    return ordered.unique(key, keep="first", maintain_order=True)


def _key(column: str) -> pl.Expr:
    """Returns uint64, equal for equal values of `thread` and `column`.

    Comparing numbers is faster than comparing two columns of text. Different comments
    may have equal keys, and another release of polars may have other keys: a result
    must not depend on them.
    """
    return pl.col("thread").hash(1) ^ pl.col(column).hash(2)


def _parent_rows(rows: pl.DataFrame) -> np.ndarray:
    """Returns int64 [n], the row of each comment's parent in its thread, -1 if there is none."""
    numbered = rows.select("thread", "id", "parent").with_row_index("row")
    replies = numbered.filter(pl.col("parent").is_not_null()).select("row", key=_key("parent"))
    joined = replies.join(numbered.select(above="row", key=_key("id")), on="key")
    row, above = joined.get_column("row"), joined.get_column("above")
    thread = numbered.get_column("thread")
    same_thread = thread.gather(row) == thread.gather(above)
    same_id = numbered.get_column("parent").gather(row) == numbered.get_column("id").gather(above)
    same = same_thread & same_id
    parent = np.full(rows.height, -1, np.int64)
    parent[row.filter(same).to_numpy()] = above.filter(same).to_numpy()
    return parent


def _rooted(parent: np.ndarray) -> np.ndarray:
    """Returns bool [n]: whether the path of parents ends; doubles the step in each round."""
    ancestor = parent
    for _ in range(max(len(parent), 1).bit_length() + 1):
        inside = ancestor >= 0
        if not inside.any():
            break
        further = np.full(len(parent), -1, np.int64)
        further[inside] = ancestor[ancestor[inside]]
        ancestor = further
    return ancestor < 0


def ancestors(threads: Threads, count: int) -> np.ndarray:
    """Returns int64 [p, count]: ancestors of each pair's context, nearest first, -1 if none."""
    current = threads.parent[threads.response]
    columns = []
    for _ in range(count):
        current = np.where(current >= 0, threads.parent[np.maximum(current, 0)], -1)
        columns.append(current)
    return np.stack(columns, 1) if columns else np.zeros((len(current), 0), np.int64)
