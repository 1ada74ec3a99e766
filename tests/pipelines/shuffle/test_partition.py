"""Partitions keep every row, and the bucket of a thread never changes."""

from collections import Counter

import numpy as np
import polars as pl

from rejoinder.pipelines.shuffle import partition


def comments(count: int, threads: int) -> pl.DataFrame:
    """Rows with the columns of the shuffle; every second comment is filtered."""
    number = range(count)
    return pl.DataFrame(
        {
            "id": [f"c{n}" for n in number],
            "thread": [f"t{n % threads}" for n in number],
            "parent": pl.Series([None] * count, dtype=pl.String),
            "body": [None if n % 2 else f"text of c{n}" for n in number],
            "author": ["a"] * count,
            "subreddit": ["s"] * count,
            "month": pl.Series([24180] * count, dtype=pl.Int16),
            "reason": pl.Series([n % 2 for n in number], dtype=pl.UInt8),
        }
    )


def test_partition_and_merge_keep_every_row_and_each_thread_together():
    frame = comments(1000, threads=50)
    blobs = list(partition.partition_threads(frame, 8))
    assert len({bucket for bucket, _ in blobs}) == len(blobs)
    merged = {bucket: partition.merge([blob]) for bucket, blob in blobs}
    assert pl.concat(merged.values()).sort("id").equals(frame.sort("id"))
    owners = Counter(t for part in merged.values() for t in set(part["thread"]))
    assert set(owners.values()) == {1}


def test_no_rows_give_no_blobs():
    assert list(partition.partition_threads(comments(1, threads=1).clear(), 8)) == []


def test_the_bucket_of_a_thread_never_changes():
    assert partition.bucket_of(pl.Series(["5h6yvl", "41ar0l", "c"]), 1000).tolist() == BUCKETS
    assert np.all(partition.bucket_of(pl.Series(["", "é"]), 7) < 7)


BUCKETS = [644, 178, 123]
