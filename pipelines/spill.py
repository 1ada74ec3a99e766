"""The shuffle's blobs on disk instead of in the memory of Beam's local runner.

The in-memory runner keeps everything that crosses a `GroupByKey` in its own
memory. On one machine the blobs can lie in files, and only their places cross:
then memory is a matter of chunk and bucket sizes, whatever the input's size.
"""

import os
import struct
import uuid
from collections.abc import Iterable, Iterator

FOLDER = "shuffle"
# A reference: this mark, offset, length, then the file name. No Arrow message begins so.
_REFERENCE = struct.Struct("<8sQQ")
_MAGIC = b"\xffspilled"


def write(folder: str, blobs: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Appends blobs to one new file and yields (key, reference) for each.

    Raises:
        OSError: the disk is full.
    """
    os.makedirs(folder, exist_ok=True)
    name = uuid.uuid4().hex
    references = []
    with open(os.path.join(folder, name), "wb") as file:
        for key, blob in blobs:
            reference = _REFERENCE.pack(_MAGIC, file.tell(), len(blob)) + name.encode()
            references.append((key, reference))
            file.write(blob)
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
        raise OSError(f"{file.name}: {len(data)} of {length} bytes at offset {offset}")
    return data
