"""Finds equal pairs in the whole corpus: a second, small shuffle of their digests.

Every bucket sends a blob to every range of digests that it has pairs for, and a blob holds
a few pairs only if there are thousands of buckets. So a blob has no schema of its own: it
is a header and the columns, one after the other.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

_DIGEST_BYTES = 16
# Pairs and bucket; then digests, uint32 lengths of threads and of ids, threads, ids.
_HEADER = struct.Struct("<IIII")  # pairs, bucket, bytes of all threads, bytes of all ids
_TEXTS = ("thread", "id")


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
    return origin.select(_TEXTS).with_columns(pl.Series("digest", digests, dtype=pl.Binary))


def partition_keys(keys: pl.DataFrame, bucket: int, num_ranges: int) -> Iterator[tuple[int, bytes]]:
    """Partitions pair keys so that equal pairs arrive in the same range of digests.

    Args:
        keys: From `pair_keys`.
        bucket: The bucket of these pairs.
        num_ranges: Number of digest ranges.

    Yields:
        (range, blob) for each range that has keys, in order.
    """
    digests = b"".join(keys.get_column("digest"))
    # The first 8 bytes of a digest are uniformly distributed.
    first = np.frombuffer(digests, "<u8").reshape(-1, 2)[:, 0]
    ranges = (first % np.uint64(num_ranges)).astype(np.int64)
    order = np.argsort(ranges, kind="stable")
    yield from _pack(keys[order], ranges[order], np.full(len(order), bucket))


def duplicates_to_drop(blobs: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """Finds the pairs of one digest range that repeat another.

    Of equal pairs the one with the smallest thread and id is kept, so the result
    does not depend on the order of `blobs`.

    Args:
        blobs: All blobs of the range, from `partition_keys`.

    Yields:
        (bucket, blob of `thread` and `id`) of the pairs to drop, in order.
    """
    frame = _unpack(blobs).sort("digest", *_TEXTS)
    repeated = frame.filter(pl.col("digest") == pl.col("digest").shift())
    repeated = repeated.sort("bucket", maintain_order=True)
    buckets = repeated.get_column("bucket").to_numpy()
    yield from _pack(repeated, buckets, buckets)


def read_duplicates_to_drop(blobs: Sequence[bytes]) -> pl.DataFrame:
    """Returns `thread` and `id` of the pairs to drop, from the blobs of `duplicates_to_drop`."""
    return _unpack(blobs).select(_TEXTS)


def _pack(
    frame: pl.DataFrame, groups: np.ndarray, buckets: np.ndarray
) -> Iterator[tuple[int, bytes]]:
    """Yields (group, blob) of each group of rows.

    Args:
        frame: Frame [n] with `thread`, `id` and `digest`.
        groups: int64 [n], ascending.
        buckets: int64 [n], the bucket of each row, the same for all rows of a group.
    """
    if frame.is_empty():
        return
    digests = memoryview(b"".join(frame.get_column("digest")))
    texts = [_buffers(frame.get_column(name)) for name in _TEXTS]
    found, starts = np.unique(groups, return_index=True)
    ends = np.append(starts[1:], len(groups))
    for group, start, end in zip(found.tolist(), starts.tolist(), ends.tolist(), strict=True):
        spans = [data[offsets[start] : offsets[end]] for offsets, data in texts]
        lengths = [
            np.diff(offsets[start : end + 1]).astype("<u4").tobytes() for offsets, _ in texts
        ]
        header = _HEADER.pack(end - start, buckets[start], *map(len, spans))
        digest = digests[start * _DIGEST_BYTES : end * _DIGEST_BYTES]
        yield group, b"".join([header, digest, *lengths, *spans])


def _unpack(blobs: Sequence[bytes]) -> pl.DataFrame:
    """Returns a frame with `bucket`, `digest`, `thread` and `id` of the rows of all blobs."""
    counts, buckets, digests = [], [], []
    lengths: tuple[list[bytes], list[bytes]] = ([], [])
    texts: tuple[list[bytes], list[bytes]] = ([], [])
    for blob in blobs:
        count, bucket, *sizes = _HEADER.unpack_from(blob)
        counts.append(count)
        buckets.append(bucket)
        at = _HEADER.size + count * _DIGEST_BYTES
        digests.append(blob[_HEADER.size : at])
        for column in lengths:
            column.append(blob[at : at + 4 * count])
            at += 4 * count
        for column, size in zip(texts, sizes, strict=True):
            column.append(blob[at : at + size])
            at += size
    total = sum(counts)
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(_DIGEST_BYTES), total, [None, pa.py_buffer(b"".join(digests))]
    )
    columns = {
        "bucket": pa.array(np.repeat(np.array(buckets, np.int64), counts)),
        "digest": fixed.cast(pa.large_binary()),
    }
    for name, length, text in zip(_TEXTS, lengths, texts, strict=True):
        offsets = np.zeros(total + 1, np.int64)
        np.cumsum(np.frombuffer(b"".join(length), "<u4"), out=offsets[1:])
        columns[name] = pa.LargeStringArray.from_buffers(
            total, pa.py_buffer(offsets), pa.py_buffer(b"".join(text))
        )
    frame = pl.from_arrow(pa.table(columns))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _buffers(texts: pl.Series) -> tuple[np.ndarray, memoryview]:
    """Returns offsets, int64 [n + 1], and bytes of texts, string [n], n > 0, without nulls."""
    array = texts.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    return np.frombuffer(offsets, np.int64)[array.offset :], memoryview(data or b"")
