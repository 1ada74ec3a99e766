"""The thread state of one bucket: which comments it holds, and its files.

A row has the columns of the shuffle and two more: `waiting`, whether the comment passed the
filters and its parent has not been read, and `digest`, with `--drop-duplicates` the digest of
the pair whose response it is. A row that is not waiting never makes a pair: either it is in
the corpus, or no later comment can make one of it.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from rejoinder import storage
from rejoinder.corpus import thread_state
from rejoinder.errors import UserError
from rejoinder.pipelines.growth.spec import GrowthSpec
from rejoinder.pipelines.shuffle import partition

SCHEMA = pa.schema([*partition.SCHEMA, ("waiting", pa.bool_()), ("digest", pa.large_binary())])
_KEY = ["thread", "id"]


@dataclass(frozen=True)
class Growth:
    """What a bucket of a corpus that can grow needs beside its rows.

    Attributes:
        carried: The bucket's rows of the state, with the columns of `SCHEMA`; None in the first
            run of a corpus.
        oldest_month: Comments of earlier months are not kept; counted from year 0.
    """

    carried: pl.DataFrame | None
    oldest_month: int


def read_bucket(spec: GrowthSpec, bucket: int, num_buckets: int) -> pl.DataFrame | None:
    """Returns the rows of the state in one of `num_buckets` buckets; None in a new corpus.

    The files may be those of another number of buckets: both are remainders of one hash.

    Raises:
        UserError: A file is missing or damaged.
    """
    if not spec.corpus:
        return None
    step = math.gcd(spec.files, num_buckets)
    names = (
        thread_state.file_name(index, spec.files)
        for index in range(bucket % step, spec.files, step)
    )
    files = (read_file(storage.join(spec.corpus, name)) for name in names)
    if num_buckets == step:
        return pl.concat(files)
    return pl.concat(_of_bucket(rows, bucket, num_buckets) for rows in files)


def _of_bucket(rows: pl.DataFrame, bucket: int, num_buckets: int) -> pl.DataFrame:
    buckets = partition.bucket_of(rows.get_column("thread"), num_buckets)
    return rows.filter(pl.Series(buckets == bucket))


def read_file(path: str) -> pl.DataFrame:
    """Returns the rows of one file of the state.

    Raises:
        UserError: The file is missing or is not one.
    """
    try:
        table = pq.read_table(io.BytesIO(storage.read_bytes(path)))
        frame = pl.from_arrow(table.select(SCHEMA.names).cast(SCHEMA))
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise UserError(f"{path}: is not a file of a thread state ({error})") from error
    assert isinstance(frame, pl.DataFrame)
    return frame


def encode(rows: pl.DataFrame) -> bytes:
    """Returns the bytes of a file; the order of the rows does not matter."""
    ordered = rows.select(SCHEMA.names).sort(_KEY)
    table = ordered.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(SCHEMA)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def empty() -> pl.DataFrame:
    """Returns a state without comments."""
    frame = pl.from_arrow(SCHEMA.empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame


def kept(rows: pl.DataFrame, oldest_month: int) -> pl.DataFrame:
    """Leaves out comments before a month; those whose month is not known stay."""
    return rows.filter(pl.col("month").is_null() | (pl.col("month") >= oldest_month))


def thread_sizes(rows: pl.DataFrame) -> Iterator[tuple[str, int]]:
    """Yields the comments of each thread, rounded down to a power of two, and how often."""
    sizes = rows.get_column("thread").value_counts(name="n").get_column("n").to_numpy()
    exponents, counts = np.unique(np.log2(sizes).astype(np.int64), return_counts=True)
    for exponent, count in zip(exponents.tolist(), counts.tolist(), strict=True):
        yield str(1 << exponent), count
