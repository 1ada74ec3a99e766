"""Notes about a chunk of comments: samples of the filtered ones, and the listed subreddits."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import polars as pl

from rejoinder.pipelines.dumps.notes import KEPT, MAX_CHARS, Sample
from rejoinder.pipelines.reddit.filters import PASSED, Filter
from rejoinder.pipelines.shuffle import hashing

_ORDER_SEED = 6


def sample_filtered(
    parsed: pl.DataFrame, reasons: pl.Series, filters: Sequence[Filter]
) -> Iterator[tuple[str, list[Sample]]]:
    """Yields (counter, samples) for every filter that dropped comments.

    Args:
        parsed: Comments [n], from `parse.parse_chunk`.
        reasons: uint8 [n], from `filters.reason`.
        filters: The filters.
    """
    dropped = (reasons != PASSED).arg_true()
    reason = reasons.gather(dropped).to_numpy()
    hashes = hashing.hash_strings(parsed.get_column("id").gather(dropped), _ORDER_SEED)
    for index, dropped_by in enumerate(filters, 1):
        at = np.flatnonzero(reason == index)
        if len(at) > KEPT:  # those with the lowest hashes, and all with an equal one
            at = at[hashes[at] <= np.partition(hashes[at], KEPT - 1)[KEPT - 1]]
        if len(at):
            picked = parsed.select("id", "body")[dropped[at]]
            texts = picked.get_column("body").str.slice(0, MAX_CHARS)
            rows = zip(hashes[at].tolist(), picked.get_column("id"), texts, strict=True)
            yield f"filtered/{dropped_by.name}", [Sample(*row) for row in rows]


def find_listed(parsed: pl.DataFrame, names: Iterable[str]) -> set[str]:
    """Returns the names, in lower case, that are the subreddit of some comment."""
    found = parsed.get_column("subreddit").unique().str.to_lowercase()
    return set(found.filter(found.is_in(list(names))).to_list())
