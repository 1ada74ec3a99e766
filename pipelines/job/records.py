"""Records of the finished tasks of a run, by which the next run does not do them again.

A record is written after the files of its task, and holds their checksums. A crash may
lose the end of any file: a record that is not whole, or one of a file with other bytes,
does not count, and the task is done again. Nothing has to reach the disk in order.
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import google_crc32c

from rejoinder import storage

FOLDER = "finished"
# File that identifies the run; it is deleted when the result is published.
RUN = "run.json"
_BLOCK_BYTES = 1 << 20
# Begins the digest of a file whose checksum is not a sha256.
_CRC32C = "crc32c:"


@dataclass(frozen=True)
class Record:
    """A finished task.

    Attributes:
        seconds: Time that it took.
        files: Digest of each file that it wrote, by path relative to the staging folder: sha256
            (hex), or `crc32c_digest`.
        result: JSON values for the steps after it.
    """

    seconds: float
    files: Mapping[str, str]
    result: Any


def write(staging: str, name: str, record: Record) -> None:
    """Writes the record of the task `name`; the folder exists.

    Raises:
        UserError: The disk is full, or another error of the file system.
    """
    # The result is long and has its own line, which the end of an interrupted run does not parse.
    head = json.dumps({"seconds": record.seconds, "files": dict(record.files)})
    text = f"{head}\n{json.dumps(record.result)}\n"
    storage.write_bytes(_path(staging, name), text.encode())


def end(staging: str) -> None:
    """Notes that the result is published: there is nothing to continue."""
    storage.delete([os.path.join(staging, RUN)])


def read(staging: str, name: str) -> Record | None:
    """Returns the record of a task, None if the task is not finished."""
    try:
        with open(_path(staging, name), "rb") as file:
            head, result = map(json.loads, file.read().splitlines())
            return Record(head["seconds"], head["files"], result)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_intact(staging: str, name: str) -> Record | None:
    """Returns the record of a task if the bytes of all its files are the recorded ones."""
    record = read(staging, name)
    if record is None:
        return None
    files = ((os.path.join(staging, name), digest) for name, digest in record.files.items())
    return record if all(digest_of(path, like=digest) == digest for path, digest in files) else None


def names(staging: str) -> list[str]:
    """Returns the names of the recorded tasks, sorted."""
    try:
        return sorted(os.listdir(os.path.join(staging, FOLDER)))
    except FileNotFoundError:
        return []


def heads(staging: str) -> Iterator[tuple[float, dict[str, str]]]:
    """Yields the seconds and the files of each recorded task."""
    for name in names(staging):
        try:
            with open(_path(staging, name), "rb") as file:
                head = json.loads(file.readline())
            yield head["seconds"], head["files"]
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _path(staging: str, name: str) -> str:
    return os.path.join(staging, FOLDER, name)


def crc32c_digest(crc: int) -> str:
    """Returns the digest of a file with this CRC-32C."""
    return f"{_CRC32C}{crc:08x}"


def digest_of(path: str, *, like: str) -> str | None:
    """Returns the digest of a file, None if it cannot be read.

    Args:
        path: The file.
        like: A digest of the same kind.
    """
    return _crc32c_of(path) if like.startswith(_CRC32C) else sha256_of(path)


def sha256_of(path: str) -> str | None:
    """Returns the sha256 (hex) of a file, None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        for block in _blocks(path):
            digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def _crc32c_of(path: str) -> str | None:
    try:
        return crc32c_digest(functools.reduce(google_crc32c.extend, _blocks(path), 0))
    except OSError:
        return None


def _blocks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from iter(functools.partial(file.read, _BLOCK_BYTES), b"")
