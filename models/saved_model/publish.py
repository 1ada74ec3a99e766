"""Publishes versions of a model atomically, and finds the published ones.

A version is written under a name that servers ignore, synchronized to the disk, and
renamed to its number last, so a server that polls the base folder sees a whole version
or none. A killed export leaves only the hidden folder, which the next export removes.
"""

import contextlib
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from rejoinder import storage
from rejoinder.errors import UserError

_STAGING_PREFIX = ".export-"
_STAGING = re.compile(re.escape(_STAGING_PREFIX) + "[0-9a-f]{32}")
_LOCK = ".export.lock"


def versions(base: str | Path) -> list[int]:
    """Returns the published version numbers in a folder, ascending.

    Only folders with decimal names count, as in TensorFlow Serving.

    Args:
        base: Folder of all versions, on any file system of `rejoinder.storage`.
    """
    folder = str(base).rstrip("/")
    if not storage.is_local(folder):
        below = (entry.path.removeprefix(f"{folder}/") for entry in storage.list_tree(folder))
        names = {path.partition("/")[0] for path in below if "/" in path}
    elif os.path.isdir(folder):
        names = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    else:
        names = set()
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def find_saved_model(path: str | Path) -> str | None:
    """Returns the SavedModel at a path, or the newest version in it, or None."""
    newest_first = [str(number) for number in reversed(versions(path))]
    folders = [str(path), *(storage.join(str(path), number) for number in newest_first)]
    return next((f for f in folders if storage.exists(storage.join(f, "saved_model.pb"))), None)


def publish(base: Path, write: Callable[[Path], None], *, version: int | None = None) -> Path:
    """Writes one version folder and publishes it by rename.

    Args:
        base: Local folder of all versions; created if missing.
        write: Writes the version's files into the folder it is given.
        version: Version number; by default one above the highest present.

    Returns:
        The published folder, `base/<version>`.

    Raises:
        UserError: The version exists, or another export holds `base`.
    """
    with _exclusive(base) as lock:
        number = version if version is not None else max(versions(base), default=0) + 1
        target = base / str(number)
        if target.exists():
            raise existing_version(target)
        staging = base / f"{_STAGING_PREFIX}{uuid.uuid4().hex}"
        # First its name, which the next export removes if this one is killed.
        lock.write(f"{staging.name}\n")
        lock.flush()
        try:
            staging.mkdir(mode=0o700)
            write(staging)
            staging.chmod(0o755)  # servers run as other users
            storage.sync_tree(str(staging))
            staging.rename(target)
            storage.sync(str(base))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


def existing_version(folder: str | Path) -> UserError:
    """Returns the error for a version that exists."""
    return UserError(
        f"{folder}: exists, and a published version is never overwritten; "
        "leave --version out to take the next number, or remove the folder"
    )


@contextlib.contextmanager
def _exclusive(base: Path) -> Iterator[TextIO]:
    """Locks `base` against other exports; the lock ends with the process.

    Yields:
        The lock file, in which an export writes the name of its hidden folder. Only folders
        named there are removed, whatever other names look like.
    """
    base.mkdir(parents=True, exist_ok=True)
    with (base / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{base}: another export is writing here; wait for it") from None
        lock.seek(0)
        for name in lock.read().split():
            if _STAGING.fullmatch(name):
                shutil.rmtree(base / name, ignore_errors=True)
        lock.truncate(0)
        yield lock
