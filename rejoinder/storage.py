"""Files on local disks and in `gs://` and `s3://` buckets, behind one set of functions."""

import contextlib
import glob as local_glob
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from rejoinder import object_store
from rejoinder.errors import UserError


@dataclass(frozen=True, order=True)
class FileEntry:
    """A file's path and size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class FileState:
    """A file's size in bytes, and a text that differs when the file was changed."""

    size: int
    stamp: str


def is_local(path: str) -> bool:
    """Returns whether `path` names the local file system (no `scheme://`).

    Raises:
        UserError: The path has a scheme that is not supported.
    """
    scheme, separator, rest = path.partition("://")
    if separator and scheme not in object_store.SCHEMES:
        advice = {
            "file": f"; here {rest}",
            "http": "; download it first",
            "https": "; download it first",
        }
        raise UserError(
            f"{path}: {scheme}:// is not supported; give a local path, gs://… or s3://…"
            f"{advice.get(scheme, '')}"
        )
    return not separator


def join(folder: str, *parts: str) -> str:
    """Joins path components with `/`."""
    return posixpath.join(folder, *parts)


def open_read(path: str) -> BinaryIO:
    """Opens a file's stored bytes, without any decompression.

    Raises:
        UserError: The file is missing or may not be read.
    """
    try:
        return open(path, "rb") if is_local(path) else object_store.open_read(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be opened ({_reason(error)})") from error


def read_bytes(path: str) -> bytes:
    """Returns a whole (small) file.

    Raises:
        UserError: The file is missing or cannot be read.
    """
    with open_read(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({_reason(error)})") from error


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file and checks its stored size; missing folders are created.

    Raises:
        UserError: The write failed or the stored size differs (disk full, quota, no permission).
    """
    try:
        if is_local(path):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        else:
            object_store.write(path, data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)})") from error
    stored = size(path)
    if stored != len(data):
        raise UserError(f"{path}: {stored} of {len(data)} bytes were stored; is the disk full?")


def replace_bytes(path: str, data: bytes) -> None:
    """Writes a file so that readers, and a failure, find the old content or the new.

    A local file is written beside its place and renamed; stores replace objects at once.

    Raises:
        UserError: The write failed; the old content is still there.
    """
    if not is_local(path):
        write_bytes(path, data)
        return
    temporary = f"{path}.{os.getpid()}.new"
    try:
        write_bytes(temporary, data)
        rename(temporary, path)
    except UserError as error:
        delete([temporary])
        raise UserError(str(error).replace(temporary, path)) from error


def size(path: str) -> int:
    """Returns a file's size in bytes.

    Raises:
        UserError: There is no such file.
    """
    try:
        found = os.path.getsize(path) if is_local(path) else object_store.size(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_reason(error)})") from error
    if found is None:
        raise UserError(f"{path}: is a folder, not a file")
    return found


def version(path: str) -> str:
    """Returns a text that differs when a file was changed: by size and time, or the store's own.

    Raises:
        UserError: There is no such file.
    """
    try:
        if not is_local(path):
            return object_store.version(path)
        status = os.stat(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_reason(error)})") from error
    return f"{status.st_size} bytes, {status.st_mtime_ns} ns"


def exists(path: str) -> bool:
    """Returns whether a file or folder exists.

    Raises:
        UserError: The store did not answer, or refused access.
    """
    if is_local(path):
        return os.path.exists(path)
    try:
        object_store.size(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({_reason(error)})") from error
    return True


def glob(pattern: str) -> list[FileEntry]:
    """Returns the files that match a path or glob, sorted by path.

    `*`, `?` and `[…]` match inside one path component, `**` matches any number of
    components. A file of exactly that name wins over what its brackets could match.

    Raises:
        UserError: The folder cannot be listed.
    """
    try:
        if not is_local(pattern):
            return sorted(FileEntry(*entry) for entry in object_store.glob(pattern))
        exact = os.path.isfile(pattern)
        paths = [pattern] if exact else local_glob.glob(pattern, recursive=True)
        return sorted(FileEntry(p, os.path.getsize(p)) for p in paths if os.path.isfile(p))
    except OSError as error:
        raise UserError(f"{pattern}: cannot be listed ({_reason(error)})") from error


def list_tree(folder: str) -> Iterator[FileEntry]:
    """Yields every file below `folder`, sorted by path.

    Raises:
        UserError: The folder cannot be listed.
    """
    try:
        if is_local(folder):
            paths = (join(root, name) for root, _, names in os.walk(folder) for name in names)
            found = sorted(FileEntry(path, os.path.getsize(path)) for path in paths)
        else:
            found = sorted(FileEntry(*entry) for entry in object_store.find(folder.rstrip("/")))
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({_reason(error)})") from error
    yield from found


def list_states(folder: str) -> dict[str, FileState]:
    """Returns the state of each file below a folder, by its path in the folder.

    Files that disappear meanwhile, such as the temporary ones of a copy, are left out.

    Raises:
        UserError: The folder cannot be listed.
    """
    try:
        states = {}
        if not is_local(folder):
            for path, length, stamp in object_store.states(folder.rstrip("/")):
                states[path.removeprefix(f"{folder.rstrip('/')}/")] = FileState(length, stamp)
            return states
        for root, _, names in os.walk(folder, followlinks=True):
            for name in names:
                path = join(root, name)
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(path)
                    name = os.path.relpath(path, folder)
                    states[name] = FileState(status.st_size, str(status.st_mtime_ns))
        return states
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({_reason(error)})") from error


def make_folder(path: str) -> None:
    """Creates a local folder and its parents; buckets need no folders.

    Raises:
        UserError: The file system refused.
    """
    if is_local(path):
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot be created ({_reason(error)})") from error


def write_all(folder: str, files: Mapping[str, bytes]) -> None:
    """Writes files and checks their stored sizes, in an object store several at a time.

    Args:
        folder: The folder.
        files: Content of each file by its name in the folder.

    Raises:
        UserError: A write failed, or a stored size differs.
    """
    paths = {join(folder, name): data for name, data in files.items()}
    if is_local(folder):
        for path, data in paths.items():
            write_bytes(path, data)
        return
    try:
        object_store.write_all(paths)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({_reason(error)})") from error


def upload(source: str, path: str) -> None:
    """Writes a local file to an object store, piece by piece, and checks its stored size.

    Raises:
        UserError: The write failed or the stored size differs.
    """
    try:
        object_store.upload(source, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({_reason(error)})") from error
    stored, expected = size(path), os.path.getsize(source)
    if stored != expected:
        raise UserError(f"{path}: {stored} of {expected} bytes were stored; try again")


def copy_objects(copies: Mapping[str, str]) -> None:
    """Copies objects in a store, several at a time, over existing ones.

    Args:
        copies: Destination of each source.

    Raises:
        UserError: A source is missing, or the store refused.
    """
    try:
        object_store.copy(copies)
    except OSError as error:
        first = next(iter(copies.values()))
        raise UserError(
            f"{first} and {len(copies) - 1:,} more: not all were written ({_reason(error)})"
        ) from error


def rename(source: str, destination: str) -> None:
    """Moves a local file, over an existing one if there is one.

    Raises:
        UserError: The file system refused.
    """
    try:
        os.replace(source, destination)
    except OSError as error:
        raise UserError(f"{destination}: cannot be written ({_reason(error)})") from error


def delete(paths: list[str]) -> None:
    """Deletes files of one kind of storage; missing ones are ignored.

    Raises:
        UserError: The file system refused.
    """
    try:
        if paths and not is_local(paths[0]):
            object_store.delete(paths)
            return
        for path in paths:
            if os.path.lexists(path):
                os.remove(path)
    except OSError as error:
        raise UserError(f"{paths[0]}: cannot be deleted ({_reason(error)})") from error


def sync(path: str) -> None:
    """Writes a local file's or folder's changes to the disk, with fsync.

    Raises:
        OSError: The file system refused.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: str) -> None:
    """Writes a local folder and all that is in it to the disk.

    Raises:
        OSError: The file system refused.
    """
    for root, _, names in os.walk(folder):
        for name in names:
            sync(os.path.join(root, name))
        sync(root)


def _reason(error: OSError) -> str:
    if error.strerror:
        return error.strerror
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    return (str(error).strip() or type(error).__name__).splitlines()[0]
