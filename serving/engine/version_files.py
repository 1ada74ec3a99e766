"""The files of a version folder: whether all are there and unchanged, and a local copy of them.

A version that `rejoinder export` publishes appears at once. One that is copied (rsync,
kubectl cp, a bucket's client) appears file by file, in any order, under temporary names;
its manifest says when it is complete.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import MANIFEST_FILE, ExportManifest
from rejoinder.storage import FileState

# TensorFlow Serving's own files, which this server does not read and users may change.
_NOT_READ = ("batching_params.pbtxt", "assets.extra/tf_serving_warmup_requests")
_BLOCK_BYTES = 1 << 20
_LOCK = "lock"
_UNFINISHED = "unfinished"


class IncompleteVersionError(UserError):
    """Files of a version are missing or shorter than its manifest says."""


class TransferError(UserError):
    """A file could not be read; it may succeed later."""


def check_complete(folder: str, files: Mapping[str, FileState]) -> ExportManifest:
    """Checks that the files of a version are all there, by name and size.

    Args:
        folder: The version folder, on any file system of `rejoinder.storage`.
        files: Its files by their names in the folder.

    Returns:
        The version's manifest.

    Raises:
        IncompleteVersionError: A file is missing or has another size.
        UserError: The manifest has another format, or cannot be read.
    """
    if MANIFEST_FILE not in files:
        raise IncompleteVersionError(f"{folder}: lacks {MANIFEST_FILE}")
    path = storage.join(folder, MANIFEST_FILE)
    data = storage.read_bytes(path)
    try:
        json.loads(data)
    except ValueError:
        raise IncompleteVersionError(f"{path}: is not complete") from None
    manifest = ExportManifest.parse(data, path)
    for name, (size, _) in _checked_files(manifest, folder).items():
        if name not in files:
            raise IncompleteVersionError(f"{folder}: lacks {name}")
        if files[name].size != size:
            raise IncompleteVersionError(
                f"{folder}: {name} has {files[name].size:,} of {size:,} bytes"
            )
    return manifest


def check_unchanged(folder: Path, manifest: ExportManifest) -> None:
    """Checks the sha256 of a local version's files.

    Raises:
        UserError: A file has another content than the manifest says, or cannot be read.
    """
    for name, (_, expected) in _checked_files(manifest, str(folder)).items():
        digest = hashlib.sha256()
        for block in _blocks(str(folder / name)):
            digest.update(block)
        if digest.hexdigest() != expected:
            raise _damaged(folder / name)


def fetch(folder: str, cache: str, manifest: ExportManifest) -> Path:
    """Returns a local copy of a version in a bucket, with the checksums of its manifest.

    A copy that is there already is checked and used again. Processes that share the cache
    wait for each other.

    Args:
        folder: The version folder in a bucket.
        cache: Local folder of copies.
        manifest: The version's manifest.

    Raises:
        TransferError: A file cannot be read.
        UserError: A file cannot be written, or has another content.
    """
    place = _place(folder, cache)
    target = place / folder.rpartition("/")[2]
    try:
        place.mkdir(parents=True, exist_ok=True)
        with (place / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_copy(target, manifest):
                shutil.rmtree(target, ignore_errors=True)
                unfinished = place / _UNFINISHED
                shutil.rmtree(unfinished, ignore_errors=True)
                _download(folder, unfinished, manifest)
                unfinished.rename(target)
    except OSError as error:
        raise UserError(
            f"{target}: cannot be written ({error.strerror}); give another --cache-dir"
        ) from error
    return target


def remove_copy(folder: str, cache: str) -> None:
    """Removes the local copy of a version in a bucket, if there is one."""
    shutil.rmtree(_place(folder, cache), ignore_errors=True)


def _place(folder: str, cache: str) -> Path:
    """Returns the folder of a version's copy; its name depends on the bucket's path only."""
    return Path(cache) / hashlib.sha256(folder.encode()).hexdigest()[:32]


def _checked_files(manifest: ExportManifest, folder: str) -> dict[str, tuple[int, str]]:
    """Returns size in bytes and sha256 of the files that the server reads, by name.

    Raises:
        UserError: A name leads out of the folder, or an entry is malformed.
    """
    checked = {}
    for name, entry in manifest.files.items():
        if name.startswith(("/", "\\")) or ".." in Path(name).parts or "\0" in name:
            raise UserError(f"{folder}/{MANIFEST_FILE}: names {name!r}, outside the folder")
        if not name.startswith(_NOT_READ):
            try:
                checked[name] = int(entry["bytes"]), str(entry["sha256"])
            except (KeyError, TypeError, ValueError):
                raise UserError(
                    f"{folder}/{MANIFEST_FILE}: has no size and sha256 of {name}"
                ) from None
    return checked


def _is_copy(target: Path, manifest: ExportManifest) -> bool:
    try:
        check_unchanged(target, manifest)
        return ExportManifest.read(target) == manifest
    except UserError:
        return False


def _download(folder: str, target: Path, manifest: ExportManifest) -> None:
    for name, (_, expected) in _checked_files(manifest, folder).items():
        path, digest = target / name, hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as copy:
            for block in _blocks(storage.join(folder, name)):
                digest.update(block)
                copy.write(block)
        if digest.hexdigest() != expected:
            raise _damaged(storage.join(folder, name))
    manifest.write(target)


def _blocks(path: str) -> Iterator[bytes]:
    try:
        with storage.open_read(path) as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except UserError as error:
        raise TransferError(str(error)) from error
    except OSError as error:
        raise TransferError(f"{path}: cannot be read ({error})") from error


def _damaged(path: str | Path) -> UserError:
    return UserError(
        f"{path}: has another sha256 than {MANIFEST_FILE} says; copy the version again"
    )
