"""The staging folder of a command, where all files are written before they are published.

On a local disk the folder is locked, and the kernel drops the lock with the
process. An object store has no locks: there two commands for one output must not be
started together.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator

from rejoinder import journal, storage
from rejoinder.errors import UserError
from rejoinder.output import names, staging_folder

# Shows that this program made a staging folder: only then is it emptied.
MARKER = ".made-by-rejoinder"
# Folder inside the staging folder to which the folder that a new one replaces is moved.
REPLACED = "replaced"
# Folder inside the staging folder that becomes the output.
READY = "ready"


def empty_staging(staging: str) -> None:
    """Removes everything but the marker in a local staging folder."""
    for entry in os.scandir(staging):
        if entry.name != MARKER:
            remove(entry)


@contextlib.contextmanager
def lock_staging(
    output: str,
    *,
    prepare: Callable[[str], None] = empty_staging,
    keep: Callable[[str], bool] = lambda staging: False,
) -> Iterator[str]:
    """Locks the staging folder of an output, prepares it, and removes it at the end.

    Args:
        output: The resolved path of the output.
        prepare: Removes what earlier runs left in a local staging folder, except `MARKER`.
        keep: After an exception, decides whether a local staging folder stays for the next run.

    Yields:
        The staging folder.

    Raises:
        UserError: Another run is writing the same output, the folder holds something that
            this program did not write, or it cannot be locked or emptied.
    """
    staging = staging_folder(output)
    if not storage.is_local(staging):
        _require_ours(staging)
        clear_staging(staging, keep=(MARKER, journal.NAME))
        storage.write_bytes(storage.join(staging, MARKER), b"")
        yield staging  # publication clears it, because this process may end before the job
        return
    storage.make_folder(staging)
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        _lock(descriptor, staging)
        _require_ours(staging)
        _mark(staging)
        try:
            restore_replaced(output, staging)
            prepare(staging)
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be removed ({error.strerror})") from error
        kept = False
        try:
            yield staging
        except BaseException:
            kept = keep(staging)
            raise
        finally:
            restore_replaced(output, staging)
            if not kept:
                clear_staging(staging)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, staging: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"{staging}: another run is writing this output") from error
    except OSError as error:
        raise UserError(f"{staging}: cannot be locked ({error.strerror})") from error


def _require_ours(staging: str) -> None:
    """Checks that a staging folder is empty or was made by this program."""
    first = next(names(staging), None)
    if first is not None and not storage.exists(storage.join(staging, MARKER)):
        raise UserError(
            f"{staging}: holds {first}, and files are staged there before they are published; "
            "move it away or choose another output"
        )


def _mark(staging: str) -> None:
    """Writes the marker of a local staging folder.

    Before anything else is there, and it is never removed before the rest: a crash in
    between would leave a folder that seems to be somebody else's.
    """
    marker = storage.join(staging, MARKER)
    if storage.exists(marker):
        return
    try:
        storage.write_bytes(marker, b"")
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)  # nothing else is in it
        raise


def restore(output: str) -> None:
    """Puts a local folder back that a killed run had moved away to replace it.

    For commands that read the folder before they lock its staging folder. Nothing is done unless
    the folder is missing: only a file system that cannot exchange two folders leaves that.

    Args:
        output: The folder.

    Raises:
        UserError: Another run is writing the same output, or the folder cannot be locked.
    """
    path = os.path.realpath(output)
    staging = staging_folder(path)
    replaced = os.path.join(staging, REPLACED)
    if not storage.is_local(output) or os.path.lexists(path) or not os.path.lexists(replaced):
        return
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        _lock(descriptor, staging)
        restore_replaced(path, staging)
    finally:
        os.close(descriptor)


def restore_replaced(output: str, staging: str) -> None:
    """Undoes the first of the two renames that replace a folder if the second did not happen."""
    replaced = os.path.join(staging, REPLACED)
    if os.path.lexists(replaced) and not os.path.lexists(output):
        os.rename(replaced, output)


def clear_staging(staging: str, *, keep: tuple[str, ...] = ()) -> None:
    """Removes the files of a staging folder, and a local folder itself; its marker goes last.

    Args:
        staging: The staging folder.
        keep: Names of the files that stay, in an object store.
    """
    if storage.is_local(staging):
        with contextlib.suppress(OSError):  # what is left is removed by the next run
            empty_staging(staging)
        shutil.rmtree(staging, ignore_errors=True)
        return
    marker = storage.join(staging, MARKER)
    kept = {storage.join(staging, name) for name in keep}
    found = [entry.path for entry in storage.list_tree(staging) if entry.path not in kept]
    storage.delete([path for path in found if path != marker])
    storage.delete([path for path in found if path == marker])


def remove(entry: os.DirEntry[str]) -> None:
    """Removes a file or a folder with all that is in it, but nothing behind a link."""
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)
