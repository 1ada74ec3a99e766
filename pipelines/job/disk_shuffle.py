"""The shuffle of a run on one machine: files of blobs by key, beside the corpus.

Beam's in-memory runner holds everything that crosses a `GroupByKey`, also references to
files: one per flush and bucket would be 43 million for all of Reddit. Here each task of
one step writes one file, and each task of the next reads its key from all of them, so
that only the end of the step crosses Beam.

A file holds the blobs of several flushes, each sorted by key, then the offsets, int64
[keys + 1, flushes], and at its end the shape of the offsets. The blob of key k in
flush f is the bytes from offsets[k, f] to offsets[k + 1, f].
"""

import os
import struct
from collections.abc import Iterable

import google_crc32c
import numpy as np

from rejoinder.errors import UserError
from rejoinder.pipelines.job import records

FOLDER = "shuffle"
_TRAILER = struct.Struct("<8sQQ")  # magic, keys, flushes
_MAGIC = b"shuffle1"


def write(path: str, flushes: Iterable[Iterable[tuple[int, bytes]]], num_keys: int) -> str:
    """Writes one file.

    Args:
        path: The new file; its folder exists.
        flushes: The (key, blob) of each flush, sorted by key, at most one blob for a key.
        num_keys: Keys are in [0, num_keys).

    Returns:
        The file's digest, as `records.crc32c_digest` writes it: the bytes are many, and it takes
        a fifth of the time of a sha256.

    Raises:
        UserError: The disk is full, or another error of the file system.
    """
    crc, position = 0, 0
    offsets: list[np.ndarray] = []
    try:
        with open(path, "wb") as file:
            for flush in flushes:
                sizes = np.zeros(num_keys + 1, np.int64)
                sizes[0] = position
                for key, blob in flush:
                    sizes[key + 1] = len(blob)
                    file.write(blob)
                    crc = google_crc32c.extend(crc, blob)
                offsets.append(np.cumsum(sizes))
                position = int(offsets[-1][-1])
            index = np.array(offsets, "<i8").reshape(len(offsets), num_keys + 1)
            for data in (index.T.tobytes(), _TRAILER.pack(_MAGIC, num_keys, len(offsets))):
                file.write(data)
                crc = google_crc32c.extend(crc, data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    return records.crc32c_digest(crc)


def read(path: str, key: int) -> list[bytes]:
    """Returns the blobs of one key, in the order of the flushes.

    Raises:
        UserError: The file cannot be read, or is not whole.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            descriptor = file.fileno()
            end = os.fstat(descriptor).st_size - _TRAILER.size
            magic, keys, flushes = _TRAILER.unpack(_read(path, descriptor, _TRAILER.size, end))
            if magic != _MAGIC:
                raise UserError(f"{path}: is not a file of the shuffle; use --restart")
            row = flushes * 8  # bytes
            table = _read(path, descriptor, 2 * row, end - (keys + 1 - key) * row)
            begins, ends = np.frombuffer(table, "<i8").reshape(2, flushes).tolist()
            return [
                _read(path, descriptor, stop - start, start)
                for start, stop in zip(begins, ends, strict=True)
                if stop > start
            ]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _read(path: str, descriptor: int, size: int, offset: int) -> bytes:
    data = os.pread(descriptor, size, max(offset, 0))
    if len(data) != size or offset < 0:
        raise UserError(f"{path}: {len(data)} of {size} bytes at offset {offset}; use --restart")
    return data
