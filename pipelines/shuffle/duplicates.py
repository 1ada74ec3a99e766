"""Finds equal pairs in the whole corpus: a second, small shuffle of their digests."""

import hashlib
import io
from collections.abc import Iterator, Sequence

import polars as pl

_DIGEST_BYTES = 16


def pair_keys(context: pl.Series, response: pl.Series, origin: pl.DataFrame) -> pl.DataFrame:
    """Computes the key by which equal pairs are found.

    Args:
        context: String [p], the context of each pair.
        response: String [p], the response of each pair.
        origin: Frame [p] with `thread` and `id` of each response.

    Returns:
        Frame [p] with `thread`, `id` and `digest` (16 bytes, equal for equal pairs).
    """
    digests = [
        hashlib.blake2b(f"{c}\0{r}".encode(), digest_size=_DIGEST_BYTES).digest()
        for c, r in zip(context, response, strict=True)
    ]
    return origin.select("thread", "id").with_columns(pl.Series("digest", digests, dtype=pl.Binary))


def partition_keys(keys: pl.DataFrame, bucket: int, num_ranges: int) -> Iterator[tuple[int, bytes]]:
    """Partitions pair keys so that equal pairs arrive in the same range of digests.

    Args:
        keys: From `pair_keys`.
        bucket: The bucket of these pairs.
        num_ranges: Number of digest ranges.

    Yields:
        (range, blob) for each range that has keys.
    """
    if keys.is_empty():
        return
    # The first byte of a digest is uniformly distributed.
    ranges = [digest[0] % num_ranges for digest in keys.get_column("digest")]
    frame = keys.with_columns(range=pl.Series(ranges), bucket=pl.lit(bucket, pl.Int64))
    for (index,), part in frame.partition_by("range", as_dict=True, include_key=False).items():
        assert isinstance(index, int)
        yield index, _dump(part)


def duplicates_to_drop(blobs: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Finds the pairs of one digest range that repeat another.

    Of equal pairs the one with the smallest thread and id is kept, so the result
    does not depend on the order of `blobs`.

    Args:
        blobs: All blobs of the range, from `partition_keys`.

    Yields:
        (bucket, blob of `thread` and `id`) of the pairs to drop.
    """
    frame = pl.concat(map(_load, blobs)).sort("digest", "thread", "id")
    repeated = frame.filter(pl.col("digest") == pl.col("digest").shift())
    for (bucket,), part in repeated.partition_by("bucket", as_dict=True).items():
        assert isinstance(bucket, int)
        yield bucket, _dump(part.select("thread", "id"))


def read_duplicates_to_drop(blobs: Sequence[bytes]) -> pl.DataFrame:
    """Returns `thread` and `id` of the pairs to drop, from the blobs of `duplicates_to_drop`."""
    schema = {"thread": pl.String, "id": pl.String}
    return pl.concat([pl.DataFrame(schema=schema), *map(_load, blobs)])


def _dump(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def _load(blob: bytes) -> pl.DataFrame:
    return pl.read_ipc_stream(blob)
