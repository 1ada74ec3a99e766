"""Notes about a chunk of comments: samples of the filtered ones, and the listed subreddits."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from rejoinder.pipelines.dumps.notes import KEPT, MAX_CHARS, ReadNotes, Sample
from rejoinder.pipelines.reddit.filters import PASSED, Filter
from rejoinder.pipelines.reddit.threads import filter_counters
from rejoinder.pipelines.shuffle import hashing

_ORDER_SEED = 6


def sample_order(ids: pl.Series) -> np.ndarray:
    """Returns uint64 [n], by which the samples of comments are chosen, for ids, string [n]."""
    return hashing.hash_strings(ids, _ORDER_SEED)


def sample_filtered(
    parsed: pl.DataFrame, reasons: pl.Series, filters: Sequence[Filter], notes: ReadNotes
) -> None:
    """Adds samples of the comments that the filters dropped to `notes`.

    Args:
        parsed: Comments [n], from `parse.parse_chunk`.
        reasons: uint8 [n], from `filters.reason`.
        filters: The filters.
        notes: What is known from other chunks of the same part.
    """
    reason = reasons.to_numpy()
    dropped = np.flatnonzero(reason != PASSED)
    reason = reason[dropped]
    ids = parsed.select("id")[dropped].to_series()
    hashes = sample_order(ids)
    for counter, index, members in filter_counters(ids, [f.name for f in filters]):
        highest = np.uint64(notes.highest_order(counter))
        at = np.flatnonzero(members & (reason == index) & (hashes <= highest))
        if len(at) > KEPT:
            lowest = np.unique(hashes[at])[:KEPT]
            at = at[hashes[at] <= lowest[-1]]
        if len(at):
            picked = parsed.select("id", "body")[dropped[at]]
            texts = picked.get_column("body").str.slice(0, MAX_CHARS)
            rows = zip(hashes[at].tolist(), picked.get_column("id"), texts, strict=True)
            notes.add_samples(counter, [Sample(*row) for row in rows])


def find_listed(parsed: pl.DataFrame, names: Iterable[str]) -> set[str]:
    """Returns the names, in lower case, that are the subreddit of some comment."""
    found = parsed.get_column("subreddit").unique().str.to_lowercase()
    return set(found.filter(found.is_in(list(names))).to_list())
