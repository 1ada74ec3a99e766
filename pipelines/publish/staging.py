"""The staging folder of a run, where all files are written before they are published.

On a local disk the folder is locked, and the kernel drops the lock with the
process. An object store has no locks: there two runs for one output must not be
started together.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from typing import TypedDict

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.naming import COMPLETED
from rejoinder.errors import UserError

# Folder inside the staging folder to which the corpus that a new one replaces is moved.
REPLACED = "replaced"


class StagedFile(TypedDict):
    """A file in the staging folder, as JSON values.

    Attributes:
        staged: Its path.
        examples: Examples or lines in it.
        bytes: Its size.
        sha256: Its digest (hex).
    """

    staged: str
    examples: int
    bytes: int
    sha256: str


def staging_folder(output: str) -> str:
    """Returns the folder that a run for `output` writes to before publication."""
    return output.rstrip("/") + ".staging"


def check_output(output: str, *, overwrite: bool) -> None:
    """Checks that a run may write an output.

    Raises:
        UserError: It holds a corpus or something else, and `overwrite` is not given.
    """
    if storage.exists(storage.join(output, COMPLETED)):
        if not overwrite:
            raise UserError(
                f"{output}: holds a finished corpus; choose another --output or give --overwrite"
            )
    elif storage.is_local(output) and os.path.lexists(output):
        if not os.path.isdir(output):
            raise UserError(f"{output}: is a file; --output names a folder")
        if os.listdir(output) and not overwrite:
            raise UserError(
                f"{output}: is not empty and holds no finished corpus; choose another --output, "
                "or give --overwrite to replace what is there"
            )


def stage(staging: str, data: bytes, examples: int) -> StagedFile:
    """Writes a file under a name that no other attempt uses.

    Args:
        staging: The staging folder.
        data: Content of the file.
        examples: Examples or lines in it.
    """
    path = storage.join(staging, f"staged-{uuid.uuid4().hex}")
    storage.write_bytes(path, data)
    return {
        "staged": path,
        "examples": examples,
        "bytes": len(data),
        "sha256": checksums.sha256(data),
    }


@contextlib.contextmanager
def lock_staging(output: str) -> Iterator[None]:
    """Locks the staging folder of an output, empties it, and removes it at the end.

    Raises:
        UserError: Another run is writing the same output, or the folder cannot be
            locked or emptied.
    """
    staging = staging_folder(output)
    if not storage.is_local(staging):
        clear_staging(staging)
        yield  # the last step of the job clears it, because this process may end before the job
        return
    storage.make_folder(staging)
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{staging}: another run is writing this output") from error
        except OSError as error:
            raise UserError(f"{staging}: cannot be locked ({error.strerror})") from error
        try:
            _restore_replaced(output, staging)
            for entry in os.scandir(staging):
                shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be removed ({error.strerror})") from error
        try:
            yield
        finally:
            _restore_replaced(output, staging)
            clear_staging(staging)
    finally:
        os.close(descriptor)


def _restore_replaced(output: str, staging: str) -> None:
    """Undoes the first of the two renames that replace a corpus if the second did not happen."""
    replaced = os.path.join(staging, REPLACED)
    if os.path.lexists(replaced) and not os.path.lexists(output):
        os.rename(replaced, output)


def clear_staging(staging: str) -> None:
    """Removes all files of a staging folder."""
    if storage.is_local(staging):
        shutil.rmtree(staging, ignore_errors=True)
    else:
        storage.delete([entry.path for entry in storage.list_tree(staging)])
