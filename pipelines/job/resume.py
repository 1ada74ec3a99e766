"""Continues a run that was interrupted: what it has to have in common with it, and what is kept.

The staging folder of a run on one machine holds `run.json`, which identifies the run, and
the records of its finished tasks (`rejoinder.pipelines.job.records`). A run that finds the
same identity does only the tasks without a record. Any other run starts from the beginning.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rejoinder import interrupts, storage
from rejoinder.errors import UserError
from rejoinder.pipelines.job import disk_shuffle, records
from rejoinder.staging import MARKER, READY, empty_staging, lock_staging, remove
from rejoinder.units import format_duration

# After Ctrl-C or an error, less finished work than this is not worth a folder that stays.
_KEPT_SECONDS = 60.0

# What the result of a run depends on, as JSON values by name. The names are shown to the user.
Identity = Mapping[str, Any]


@contextlib.contextmanager
def continued(
    output: str, identity: Identity, *, restart: bool, tell: Callable[[str], None]
) -> Iterator[None]:
    """Locks the staging folder of a run on one machine, and keeps finished work after an error.

    Args:
        output: The resolved path of the output.
        identity: What the result depends on.
        restart: Whether to start from the beginning in any case.
        tell: Prints a line about an interrupted run that was found.

    Raises:
        UserError: See `lock_staging`; an error from inside names what is kept.
        Interrupted: The same for a signal.
    """
    kept: str | None = None

    def prepare_staging(staging: str) -> None:
        if line := prepare(staging, identity, restart=restart):
            tell(line)

    def keep(staging: str) -> bool:
        nonlocal kept
        kept = kept_line(staging)
        return kept is not None

    try:
        with lock_staging(output, prepare=prepare_staging, keep=keep) as staging:
            begin(staging, identity)
            yield
    except UserError as error:
        raise (UserError(f"{error}; {kept}") if kept else error) from error
    except BaseException as error:
        if kept is None:
            raise
        if interrupts.received() or isinstance(error, KeyboardInterrupt):
            raise interrupts.Interrupted(f"interrupted: {kept}") from None
        print(kept, file=sys.stderr)
        raise


def code_digest(packages: Iterable[str]) -> str:
    """Returns the sha256 (hex) of source files, which may change between two releases.

    Args:
        packages: Names of packages below `rejoinder`.
    """
    root, digest = Path(storage.__file__).parent, hashlib.sha256()
    for package in packages:
        for path in sorted((root / package).resolve().rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def prepare(staging: str, identity: Identity, *, restart: bool) -> str | None:
    """Removes from a locked local staging folder what a run will not use.

    Args:
        staging: The folder.
        identity: What the result depends on.
        restart: Whether to start from the beginning in any case.

    Returns:
        One line about the interrupted run that was found, None if there was none.

    Raises:
        OSError: A file cannot be removed.
    """
    identity = json.loads(json.dumps(identity))  # as `earlier`, which has no tuples
    earlier = _read_identity(staging)
    finished = len(records.names(staging))
    line = None
    if earlier == identity and not restart:
        line = f"continuing the interrupted run: {finished:,} of its tasks are finished"
        _return_published(staging)
        _remove_unfinished(staging)
    else:
        if finished:
            line = f"starting from the beginning: {_difference(earlier, identity, restart)}"
        empty_staging(staging)
    return line


def begin(staging: str, identity: Identity) -> None:
    """Makes the folders and writes the identity of a run, new or continued.

    Raises:
        UserError: The disk is full, or another error of the file system.
    """
    for folder in (disk_shuffle.FOLDER, records.FOLDER):
        storage.make_folder(os.path.join(staging, folder))
    storage.write_bytes(os.path.join(staging, records.RUN), json.dumps(identity).encode())


def kept_line(staging: str) -> str | None:
    """Returns the end of the error message if finished work is kept, None if it is not.

    It is kept after SIGTERM and SIGHUP, by which a machine or a scheduler ends a run, and
    otherwise if it took longer than a minute.
    """
    if not os.path.exists(os.path.join(staging, records.RUN)):
        return None  # published
    seconds = sum(seconds for seconds, _ in records.heads(staging))
    stopped = interrupts.received() in (signal.SIGTERM, signal.SIGHUP)
    if seconds < _KEPT_SECONDS and not (seconds and stopped):
        return None
    return (
        f"{format_duration(seconds)} of finished work is kept in {staging}: the same command "
        "continues, with --restart it starts again; delete that folder to give the work up"
    )


def _read_identity(staging: str) -> Identity | None:
    try:
        with open(os.path.join(staging, records.RUN), "rb") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else None
    except (OSError, ValueError):
        return None


def _difference(earlier: Identity | None, identity: Identity, restart: bool) -> str:
    if restart:
        return "--restart is given"
    if earlier is None:
        return "it is not known what the interrupted run was"
    different = sorted(k for k in {*earlier, *identity} if earlier.get(k) != identity.get(k))
    return f"the interrupted run differs in {', '.join(different)}"


def _return_published(staging: str) -> None:
    """Moves the files that a publication had taken back to where their records expect them."""
    ready: dict[str, list[str]] = {}
    for root, _, names in os.walk(os.path.join(staging, READY)):
        for name in names:
            path = os.path.join(root, name)
            ready.setdefault(records.sha256_of(path) or "", []).append(path)
    if not ready:
        return
    for _, files in records.heads(staging):
        for name, digest in files.items():
            path = os.path.join(staging, name)
            if not os.path.exists(path) and ready.get(digest):
                os.replace(ready[digest].pop(), path)


def _remove_unfinished(staging: str) -> None:
    """Removes the files that no record names."""
    kept = {name for _, files in records.heads(staging) for name in files}
    folder = os.path.join(staging, disk_shuffle.FOLDER)
    for name in os.listdir(folder):
        if os.path.join(disk_shuffle.FOLDER, name) not in kept:
            os.unlink(os.path.join(folder, name))
    kept |= {MARKER, records.RUN, disk_shuffle.FOLDER, records.FOLDER}
    for entry in os.scandir(staging):
        if entry.name not in kept:
            remove(entry)
