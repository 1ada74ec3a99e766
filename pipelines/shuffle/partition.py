"""Sends each comment to the bucket of its thread, as Arrow blobs: the one big shuffle."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from rejoinder.pipelines.shuffle import hashing

# A filtered comment crosses the shuffle without text: it may still be what breaks
# a cycle, or the reason why its replies make no pair.
SCHEMA = pa.schema(
    [
        ("id", pa.large_string()),
        ("thread", pa.large_string()),
        ("parent", pa.large_string()),
        ("body", pa.large_string()),
        ("author", pa.large_string()),
        ("subreddit", pa.large_string()),
        ("month", pa.int16()),
        ("reason", pa.uint8()),
    ]
)
COLUMNS = tuple(SCHEMA.names)

_BUCKET_SEED = 1


def bucket_of(threads: pl.Series, num_buckets: int) -> np.ndarray:
    """Returns int64 [n], the bucket of each thread id."""
    hashes = hashing.hash_strings(threads, _BUCKET_SEED)
    return (hashes % np.uint64(num_buckets)).astype(np.int64)


def partition(rows: pl.DataFrame, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, blob) for every bucket that has rows.

    Args:
        rows: Comments with `COLUMNS`.
        num_buckets: Number of buckets.
    """
    yield from split(rows, bucket_of(rows.get_column("thread"), num_buckets), SCHEMA)


def split(
    rows: pl.DataFrame, buckets: np.ndarray, schema: pa.Schema
) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, blob) for every bucket that occurs.

    Args:
        rows: A frame with the schema's columns.
        buckets: int64 [n], where each row goes.
        schema: Of the blobs.
    """
    if rows.is_empty():
        return
    order = np.argsort(buckets, kind="stable")
    table = rows.select(schema.names)[order].to_arrow(compat_level=pl.CompatLevel.oldest())
    batch = table.cast(schema).combine_chunks().to_batches()[0]
    present, starts = np.unique(buckets[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    for bucket, start, end in zip(present.tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield bucket, batch.slice(start, end - start).serialize().to_pybytes()


def merge(blobs: Sequence[bytes], schema: pa.Schema = SCHEMA) -> pl.DataFrame:
    """Returns the rows of a bucket's blobs, in no particular order."""
    batches = [pa.ipc.read_record_batch(pa.py_buffer(blob), schema) for blob in blobs]
    frame = pl.from_arrow(pa.Table.from_batches(batches, schema))
    assert isinstance(frame, pl.DataFrame)
    return frame
