"""Publishing a version: a server polling the base folder sees all of it or nothing.

The version is written under a name that no server looks at, flushed to disk,
and renamed to its number last. A killed export leaves only that hidden folder,
which the next export removes.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rejoinder.errors import UserError

_STAGING_PREFIX = ".export-"
_LOCK = ".export.lock"


def versions(base: Path) -> list[int]:
    """Returns the published version numbers under `base`, ascending.

    Only plain decimal folder names count, as in TensorFlow Serving.
    """
    if not base.is_dir():
        return []
    names = (entry.name for entry in os.scandir(base) if entry.is_dir())
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def publish(base: Path, write: Callable[[Path], None], *, version: int | None = None) -> Path:
    """Writes one version folder and publishes it by rename.

    Args:
        base: Folder of all versions; made if missing. A local file system: object
            stores have no rename, so export locally and copy the version there.
        write: Fills the folder it is given.
        version: Number to publish as; by default one above the highest present.

    Returns:
        The published folder, `base/<version>`.

    Raises:
        UserError: The version exists, another export holds `base`, or `base` is
            not a local folder.
    """
    if "://" in str(base) or str(base).startswith("gs:/"):
        raise UserError(
            f"{base}: a version is published by rename, which object stores lack; "
            "export to a local folder and copy the version folder there"
        )
    with _exclusive(base):
        number = version if version is not None else max(versions(base), default=0) + 1
        target = base / str(number)
        if target.exists():
            raise UserError(
                f"{target} exists and a published version is never overwritten; "
                "leave --version out to take the next number, or remove the folder"
            )
        staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=base))
        try:
            write(staging)
            staging.chmod(0o755)  # mkdtemp makes it private; servers run as other users
            _flush(staging)
            staging.rename(target)
            _flush_folder(base)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return target


@contextlib.contextmanager
def _exclusive(base: Path) -> Iterator[None]:
    """Holds `base` against other exports; the kernel lets go if the process dies."""
    base.mkdir(parents=True, exist_ok=True)
    with (base / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{base}: another export is writing here; wait for it") from None
        for leftover in base.glob(f"{_STAGING_PREFIX}*/"):
            shutil.rmtree(leftover)
        yield


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            _flush_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
