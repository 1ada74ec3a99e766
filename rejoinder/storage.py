"""Files wherever they live: local paths and every scheme Beam knows (`gs://` among them)."""

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from rejoinder.errors import UserError

# Beam guesses a codec from the file name otherwise, and its readers stop in
# silence at a damaged archive: `rejoinder.pipelines.dumps.decompress` does that part.
_RAW = CompressionTypes.UNCOMPRESSED


@dataclass(frozen=True, order=True)
class FileEntry:
    """A file's path and size in bytes."""

    path: str
    size: int


def is_local(path: str) -> bool:
    """Returns whether `path` names the local file system (no `scheme://`)."""
    return "://" not in path


def join(folder: str, *parts: str) -> str:
    """Joins path components with `/`."""
    return posixpath.join(folder, *parts)


def open_read(path: str) -> BinaryIO:
    """Opens a file's stored bytes, without any decompression.

    Raises:
        UserError: the file is missing or may not be read.
    """
    try:
        return FileSystems.open(path, "application/octet-stream", compression_type=_RAW)
    except (BeamIOError, OSError) as error:
        raise UserError(f"{path}: cannot be opened ({_first_line(error)})") from error


def read_bytes(path: str) -> bytes:
    """Returns a whole (small) file."""
    with open_read(path) as file:
        return file.read()


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file and makes sure that it arrived whole.

    Raises:
        UserError: the write failed or the stored size differs (disk full, quota, no permission).
    """
    try:
        with FileSystems.create(path, "application/octet-stream", compression_type=_RAW) as file:
            file.write(data)
        stored = size(path)
    except (BeamIOError, OSError) as error:
        raise UserError(f"{path}: cannot be written ({_first_line(error)})") from error
    if stored != len(data):
        raise UserError(f"{path}: {stored} of {len(data)} bytes were stored; is the disk full?")


def size(path: str) -> int:
    """Returns a file's size in bytes."""
    return FileSystems.get_filesystem(path).metadata(path).size_in_bytes


def exists(path: str) -> bool:
    """Returns whether a file (or, locally, a folder) exists."""
    return bool(FileSystems.exists(path))


def glob(pattern: str) -> list[FileEntry]:
    """Returns the files that match a path or glob, sorted by path.

    A local file of exactly that name wins over what its brackets could stand for.
    """
    if is_local(pattern) and os.path.isfile(pattern):
        return [FileEntry(pattern, os.path.getsize(pattern))]
    try:
        matches = FileSystems.match([pattern])[0].metadata_list
    except (BeamIOError, OSError) as error:
        raise UserError(f"{pattern}: cannot be listed ({_first_line(error)})") from error
    return sorted(
        FileEntry(match.path, match.size_in_bytes)
        for match in matches
        if not (is_local(match.path) and os.path.isdir(match.path))
    )


def list_tree(folder: str) -> Iterator[FileEntry]:
    """Yields every file below `folder`, sorted by path."""
    if is_local(folder):  # walked, because the folder's name may look like a glob
        paths = (join(root, name) for root, _, names in os.walk(folder) for name in names)
        yield from sorted(FileEntry(path, os.path.getsize(path)) for path in paths)
    else:
        yield from glob(folder.rstrip("/") + "/**")


def make_folder(path: str) -> None:
    """Creates a folder and its parents; an existing one is fine."""
    if not FileSystems.exists(path):
        try:
            FileSystems.mkdirs(path)
        except (BeamIOError, OSError) as error:
            if not FileSystems.exists(path):
                raise UserError(f"{path}: cannot be created ({_first_line(error)})") from error


def rename(source: str, destination: str) -> None:
    """Moves a file, over an existing one if there is one.

    Raises:
        UserError: the file system refused.
    """
    try:
        FileSystems.rename([source], [destination])
    except (BeamIOError, OSError) as error:
        raise UserError(f"{destination}: cannot be written ({_first_line(error)})") from error


def delete(paths: list[str]) -> None:
    """Deletes files or folders (with what is in them).

    Raises:
        UserError: the file system refused.
    """
    try:
        if paths:
            FileSystems.delete(paths)
    except (BeamIOError, OSError) as error:
        raise UserError(f"{paths[0]}: cannot be deleted ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
