"""Makes a folder of staged files appear; a crash at any moment leaves no half folder.

On a local disk the folder is complete before one rename puts it in place. An object store
cannot rename folders: there the files are copied, many at a time, and the file by which
readers recognise a finished folder is written last.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.journal import Journal
from rejoinder.output import FolderKind, check_replaceable, names
from rejoinder.staging import READY, REPLACED, clear_staging

# Arguments of Linux' renameat2, see `man 2 rename`.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True)
class Move:
    """A staged file that becomes a file of the output: its path and its size in bytes."""

    staged: str
    bytes: int


def publish(
    output: str,
    staging: str,
    kind: FolderKind,
    *,
    overwrite: bool,
    moves: Mapping[str, Move],
    documents: Mapping[str, bytes],
    last: str,
    links: Mapping[str, str] | None = None,
) -> None:
    """Moves staged files to their names, adds the documents and makes the output appear.

    A call may be repeated after one that failed, as runners do: it continues with the
    files that are left.

    Args:
        output: The resolved path of the folder.
        staging: Its staging folder, on the same file system.
        kind: What the folder is.
        overwrite: Whether a finished folder of this kind may be replaced.
        moves: The staged files by their names in the output.
        documents: Content of all other files by name.
        last: Name of the document without which the folder is not finished.
        links: Files of the local folder that is replaced, by their names in the new one: the new
            folder shares them, without a copy.

    Raises:
        UserError: A staged file is missing or has another size, the output may not be
            replaced, or the file system failed. Nothing of the output was changed, except
            in an object store that failed in between.
    """
    local = storage.is_local(output)
    try:
        if _is_published(output, staging, overwrite, moves, documents[last], last):
            if not local:
                clear_staging(staging)
            return
        if local:
            _publish_folder(output, staging, kind, overwrite, moves, documents, links or {})
        else:
            _publish_objects(output, staging, kind, overwrite, moves, documents, last)
    except OSError as error:
        raise UserError(
            f"{output}: cannot be published ({error}); fix that and run again"
        ) from error


def _is_published(
    output: str,
    staging: str,
    overwrite: bool,
    moves: Mapping[str, Move],
    content: bytes,
    last: str,
) -> bool:
    """Whether an earlier call published exactly this.

    If the output may be replaced, a staged file must be missing, too: the same content may be
    that of an older folder with a damaged file, which the new one repairs.
    """
    path = storage.join(output, last)
    if not storage.exists(path) or storage.read_bytes(path) != content:
        return False
    staged = _sizes(staging)
    if overwrite and all(move.staged in staged for move in moves.values()):
        return False
    found = _sizes(output)
    return all(found.get(storage.join(output, n)) == move.bytes for n, move in moves.items())


def _sizes(folder: str) -> dict[str, int]:
    """Returns the size in bytes of each file in a folder, by path: one request per 1,000 files."""
    return {entry.path: entry.size for entry in storage.list_tree(folder)}


def _has_size(path: str, move: Move) -> bool:
    return storage.exists(path) and storage.size(path) == move.bytes


def _require(present: bool, output: str, name: str, move: Move, path: str) -> None:
    if not present:
        what = "staged file" if path == move.staged else "copy"
        raise UserError(
            f"{output}: {name} was not published, because its {what} {path} is missing or does not "
            f"have {move.bytes:,} bytes; run again"
        )


def _publish_folder(
    output: str,
    staging: str,
    kind: FolderKind,
    overwrite: bool,
    moves: Mapping[str, Move],
    documents: Mapping[str, bytes],
    links: Mapping[str, str],
) -> None:
    ready = os.path.join(staging, READY)
    for name, old in links.items():
        _share(os.path.join(output, old), os.path.join(ready, name))
    for name, move in moves.items():
        path = os.path.join(ready, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(move.staged):  # not moved by an earlier attempt
            os.replace(move.staged, path)
        _require(_has_size(path, move), output, name, move, move.staged)
    storage.write_all(ready, documents)
    storage.sync_tree(ready)
    # Again, because hours may have passed since the command checked it.
    check_replaceable(output, kind, overwrite=overwrite)
    if links and exchange(ready, output):
        os.rename(ready, os.path.join(staging, REPLACED))
    else:
        if os.path.lexists(output):
            os.rename(output, os.path.join(staging, REPLACED))
        os.rename(ready, output)
    storage.sync(os.path.dirname(output))


def _share(old: str, new: str) -> None:
    """Makes a file appear in a second folder, as a hard link where the file system has them."""
    os.makedirs(os.path.dirname(new), exist_ok=True)
    if os.path.lexists(new):  # of an interrupted publication, maybe of an older file
        os.unlink(new)
    try:
        os.link(old, new)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copyfile(old, new)


def exchange(first: str, second: str) -> bool:
    """Exchanges two folders of one file system at once.

    Returns:
        False if the system cannot: then nothing was changed.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    arguments = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second))
    return bool(rename(*arguments, _RENAME_EXCHANGE) == 0)


def _publish_objects(
    output: str,
    staging: str,
    kind: FolderKind,
    overwrite: bool,
    moves: Mapping[str, Move],
    documents: Mapping[str, bytes],
    last: str,
) -> None:
    """Copies the staged files, which stay until the folder is finished, and removes them.

    So a second attempt finds all of them, and copies each again.
    """
    check_replaceable(output, kind, overwrite=overwrite)
    _require_all(_sizes(staging), {move.staged: (n, move) for n, move in moves.items()}, output)
    present = set(names(output))
    Journal(frozenset({*present, *moves, *documents})).write(staging)
    path = storage.join(output, last)
    if last in present:
        storage.delete([path])  # without it readers do not take the rest for a finished folder
    stale = present - {*moves, *documents}
    storage.delete([storage.join(output, name) for name in sorted(stale)])
    targets = {storage.join(output, name): (name, move) for name, move in moves.items()}
    storage.copy_objects({move.staged: target for target, (_, move) in targets.items()})
    storage.write_all(output, {name: data for name, data in documents.items() if name != last})
    _require_all(_sizes(output), targets, output)
    storage.write_bytes(path, documents[last])
    clear_staging(staging)


def _require_all(
    sizes: Mapping[str, int], expected: Mapping[str, tuple[str, Move]], output: str
) -> None:
    for path, (name, move) in expected.items():
        _require(sizes.get(path) == move.bytes, output, name, move, path)
