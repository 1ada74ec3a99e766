"""The quickstart's output folder: the list of its files, and the folder that it replaces.

The steps write paths inside the folder into their files, so they have to run at its final
path. A folder of an earlier quickstart is moved aside meanwhile, and comes back if a step
fails.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.output import (
    FolderKind,
    check_output,
    check_replaceable,
    names,
    resolve,
)

# Lists the files that the steps wrote: only a folder of such files is replaced.
MARKER = ".made-by-quickstart"
# Ending of the folder that an earlier quickstart is moved to until the new one is finished.
PREVIOUS_SUFFIX = ".previous"
# The folders that the steps write. Anything else in the output is the user's.
FOLDERS = ("dump", "tokenizer", "corpus", "model", "export")


def listed_files(folder: str) -> frozenset[str] | None:
    """Returns the names of a quickstart's files, None if the folder holds no list of them."""
    values = _read_list(folder)
    return None if values is None else frozenset({MARKER, *values["files"]})


QUICKSTART = FolderKind("quickstart", listed_files)


@contextlib.contextmanager
def output_folder(output: str, inputs: Sequence[str]) -> Iterator[Path]:
    """Makes the output folder of the steps, and lists what they wrote at the end.

    Args:
        output: The folder as the user wrote it.
        inputs: The dumps, which must not lie in it.

    Yields:
        The empty folder.

    Raises:
        UserError: The folder holds a file that no quickstart wrote, or cannot be moved.
    """
    path = resolve(output)
    previous = path + PREVIOUS_SUFFIX
    _finish_interrupted(path, previous)
    read = [("--input", name) for name in inputs]
    check_output(output, QUICKSTART, overwrite=True, inputs=read)
    _move_aside(path, previous)
    try:
        storage.make_folder(path)
        yield Path(output)
        _write_list(path, finished=True)
    except BaseException:
        if os.path.isdir(previous):
            _put_back(path, previous)
        elif os.path.isdir(path):
            # The steps' files stay for a look, and the next quickstart replaces them.
            _write_list(path, finished=False)
        raise
    _remove(previous)


def _finish_interrupted(path: str, previous: str) -> None:
    """Ends what a killed quickstart began: puts the folder before it back, or removes it."""
    if not os.path.lexists(previous):
        return
    values = _read_list(path)
    if not os.path.lexists(path):
        os.rename(previous, path)
    elif values is not None and values["finished"]:
        check_replaceable(previous, QUICKSTART, overwrite=True)
        _remove(previous)
    else:
        raise UserError(
            f"{path}: is of a quickstart that was killed, and the one before it is in {previous}; "
            "move both away"
        )


def _move_aside(path: str, previous: str) -> None:
    if os.path.isdir(path) and os.listdir(path):
        try:
            os.rename(path, previous)
        except OSError as error:
            raise UserError(f"{path}: cannot be moved aside ({error.strerror})") from error


def _put_back(path: str, previous: str) -> None:
    """Replaces the folder of a failed run by the one before it."""
    if os.path.isdir(path):
        for name in FOLDERS:
            shutil.rmtree(os.path.join(path, name), ignore_errors=True)
        for entry in os.scandir(path):  # what the user saved there meanwhile
            os.rename(entry.path, os.path.join(previous, entry.name))
        os.rmdir(path)
    os.rename(previous, path)


def _remove(previous: str) -> None:
    shutil.rmtree(previous, ignore_errors=True)


def _read_list(folder: str) -> dict[str, Any] | None:
    path = os.path.join(folder, MARKER)
    if not os.path.exists(path):
        return None
    try:
        values = json.loads(storage.read_bytes(path))
        return {"finished": bool(values["finished"]), "files": list(values["files"])}
    except (ValueError, KeyError, TypeError):  # of a release that listed no files
        return None


def _write_list(path: str, *, finished: bool) -> None:
    files = [name for name in names(path) if name.partition("/")[0] in FOLDERS]
    text = json.dumps({"finished": finished, "files": files}, indent=1) + "\n"
    storage.write_bytes(os.path.join(path, MARKER), text.encode())
