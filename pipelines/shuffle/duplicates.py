"""Finds equal pairs across the whole corpus: a second, small shuffle of their digests."""

import hashlib
import io
from collections.abc import Iterator, Sequence

import polars as pl

_DIGEST_BYTES = 16


def keys(context: pl.Series, response: pl.Series, origin: pl.DataFrame) -> pl.DataFrame:
    """Returns digest and origin (`thread`, `id` of the response) of each pair."""
    digests = [
        hashlib.blake2b(f"{c}\0{r}".encode(), digest_size=_DIGEST_BYTES).digest()
        for c, r in zip(context, response, strict=True)
    ]
    return origin.select("thread", "id").with_columns(pl.Series("digest", digests, dtype=pl.Binary))


def partition(
    pair_keys: pl.DataFrame, bucket: int, num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    """Yields (digest range, blob): equal pairs meet in the same range."""
    if pair_keys.is_empty():
        return
    # The first byte of a digest is as good as random.
    ranges = [digest[0] % num_buckets for digest in pair_keys.get_column("digest")]
    frame = pair_keys.with_columns(range=pl.Series(ranges), bucket=pl.lit(bucket, pl.Int64))
    for (index,), part in frame.partition_by("range", as_dict=True, include_key=False).items():
        assert isinstance(index, int)
        yield index, _dump(part)


def losers(blobs: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, blob of `thread`, `id`) of all pairs but one of each digest.

    The pair with the smallest thread and id stays, whatever the order of arrival.
    """
    frame = pl.concat(map(_load, blobs)).sort("digest", "thread", "id")
    repeated = frame.filter(pl.col("digest") == pl.col("digest").shift())
    for (bucket,), part in repeated.partition_by("bucket", as_dict=True).items():
        assert isinstance(bucket, int)
        yield bucket, _dump(part.select("thread", "id"))


def read_losers(blobs: Sequence[bytes]) -> pl.DataFrame:
    """Returns `thread` and `id` of the pairs to leave out."""
    schema = {"thread": pl.String, "id": pl.String}
    return pl.concat([pl.DataFrame(schema=schema), *map(_load, blobs)])


def _dump(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def _load(blob: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(blob)
