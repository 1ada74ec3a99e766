"""Keeps the shuffle's blobs on disk instead of in the memory of Beam's local runner.

The in-memory runner holds everything that crosses a `GroupByKey`. On one
machine the blobs are written to files, and only references to them cross.
Memory then depends on the chunk and bucket sizes, not on the input's size.
"""

import os
import struct
import uuid
from collections.abc import Iterable, Iterator

from rejoinder.errors import UserError

FOLDER = "shuffle"
# A reference: these 8 bytes, offset, length, then the file name. No Arrow message begins with them.
_MAGIC = b"\xffshuffle"
_REFERENCE = struct.Struct("<8sQQ")


def write(folder: str, blobs: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Appends blobs to one new file and yields (key, reference) for each.

    Raises:
        UserError: The disk is full, or another error of the file system.
    """
    name = uuid.uuid4().hex
    path = os.path.join(folder, name)
    references = []
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "wb") as file:
            for key, blob in blobs:
                reference = _REFERENCE.pack(_MAGIC, file.tell(), len(blob)) + name.encode()
                references.append((key, reference))
                file.write(blob)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    yield from references


def read(folder: str, value: bytes) -> bytes:
    """Returns the blob that a reference points to, or the value itself if it is a blob.

    Raises:
        UserError: The file ends too early.
    """
    if not value.startswith(_MAGIC):
        return value
    _, offset, length = _REFERENCE.unpack(value[: _REFERENCE.size])
    with open(os.path.join(folder, value[_REFERENCE.size :].decode()), "rb") as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) != length:
        raise UserError(f"{file.name}: only {len(data)} of {length} bytes at offset {offset}")
    return data
