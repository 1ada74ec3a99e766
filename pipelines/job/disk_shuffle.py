"""The shuffle's blobs on disk instead of in the memory of Beam's local runner.

The in-memory runner keeps everything that crosses a `GroupByKey` in its own
memory. On one machine the blobs can lie in files, and only their places cross:
then memory is a matter of chunk and bucket sizes, whatever the input's size.
"""

import os
import struct
import uuid
from collections.abc import Iterable, Iterator

from rejoinder.errors import UserError

FOLDER = "shuffle"
# A reference: this mark, offset, length, then the file name. No Arrow message begins so.
_REFERENCE = struct.Struct("<8sQQ")
_MAGIC = b"\xffspilled"


def write(folder: str, blobs: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Appends blobs to one new file and yields (key, reference) for each.

    Raises:
        UserError: the disk is full, or another error of the file system.
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


def read(folder: str, blob: bytes) -> bytes:
    """Returns the blob behind a reference, or the blob itself if it is none."""
    if not blob.startswith(_MAGIC):
        return blob
    _, offset, length = _REFERENCE.unpack(blob[: _REFERENCE.size])
    with open(os.path.join(folder, blob[_REFERENCE.size :].decode()), "rb") as file:
        file.seek(offset)
        data = file.read(length)
    if len(data) != length:
        raise UserError(f"{file.name}: only {len(data)} of {length} bytes at offset {offset}")
    return data
