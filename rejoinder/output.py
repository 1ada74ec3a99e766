"""The rules for `--output`: which folders a command may write, and which it may replace.

Every command that writes a folder checks it here. A folder is replaced only if a list that
this program wrote into it names every file in it. The rules apply to the path behind
symbolic links.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.journal import Journal

# A scheme with fewer than two slashes would become a local folder of that name.
_ONE_SLASH = re.compile(r"(gs|gcs|s3|s3a|hdfs|https?|file|az|abfss?):(?!//)")
_WHOLE_BUCKET = re.compile(r"[a-z0-9]+:(//[^/]*)?")


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that this program writes.

    Attributes:
        noun: Its name in messages, such as "corpus".
        listed: Returns the names of the files that the list in a folder names, the list's own
            name included, relative to the folder; None if it holds no finished folder of
            this kind.
    """

    noun: str
    listed: Callable[[str], Collection[str] | None]


@dataclass(frozen=True)
class Place:
    """What a folder must neither be nor contain; all paths are resolved.

    Attributes:
        current: The current folder.
        home: The home folder.
        inputs: (flag, path) of everything that the command reads.
    """

    current: str
    home: str
    inputs: tuple[tuple[str, str], ...] = ()


def check_output(
    output: str,
    kind: FolderKind,
    *,
    overwrite: bool,
    inputs: Iterable[tuple[str, str]] = (),
    flag: str = "--output",
) -> str:
    """Checks that a command may write a folder.

    Args:
        output: The folder as the user wrote it.
        kind: What the command writes.
        overwrite: Whether a finished folder of this kind may be replaced.
        inputs: (flag, path) of everything that the command reads; a path that does not
            exist, such as a model's name on the hub, is ignored.
        flag: The option that names the folder.

    Returns:
        The resolved path of the folder.

    Raises:
        UserError: The folder may not be written.
    """
    path = resolve(output, flag=flag)
    check_place(output, path, surroundings(inputs), flag=flag)
    check_replaceable(path, kind, overwrite=overwrite, shown=output, flag=flag)
    return path


def resolve(output: str, *, flag: str = "--output") -> str:
    """Returns the absolute path behind symbolic links, or a bucket's path without end slashes.

    Raises:
        UserError: The path is empty, has one slash after its scheme, begins with `~`, names a
            whole bucket, or has a scheme that is not supported.
    """
    if not output.strip():
        raise UserError(f"{flag}: the path is empty; name a folder")
    if output.startswith("~"):
        raise UserError(
            f"{flag} {output}: the shell did not replace ~ by the home folder; "
            "write $HOME or the full path"
        )
    if match := _ONE_SLASH.match(output):
        raise UserError(f"{flag} {output}: write two slashes after {match[1]}:")
    if storage.is_local(output):
        try:
            return _real(output)
        except OSError as error:  # the current folder was removed
            raise UserError(f"{flag} {output}: cannot be resolved ({error.strerror})") from error
    path = output.rstrip("/")
    if _WHOLE_BUCKET.fullmatch(path):
        raise UserError(f"{flag} {output}: is a whole bucket; name a folder in it")
    return path


def surroundings(inputs: Iterable[tuple[str, str]] = ()) -> Place:
    """Returns what surrounds this process: its folders and the given inputs, resolved."""
    found = tuple(
        (flag, _real(path) if storage.is_local(path) else path.rstrip("/"))
        for flag, path in inputs
        if path and (not storage.is_local(path) or os.path.lexists(path))
    )
    return Place(_real(os.curdir), _real(os.path.expanduser("~")), found)


def check_place(output: str, path: str, place: Place, *, flag: str = "--output") -> None:
    """Checks where a folder lies.

    The staging folder beside it is emptied too, so the same rules apply to it.

    Args:
        output: The folder as the user wrote it, for messages.
        path: Its resolved path.
        place: What it must not be or contain.
        flag: The option that names the folder.

    Raises:
        UserError: It is the root, or it is or contains the home folder, the current folder or
            an input.
    """
    shown = _shown(output, path)
    if path == os.sep:
        raise UserError(f"{flag} {shown}: is the root of the file system; name a new folder")
    protected = [
        ("the current folder", place.current),
        ("the home folder", place.home),
        *((f"{name} {entry}", entry) for name, entry in place.inputs),
    ]
    for name, entry in protected:
        for folder, prefix in ((path, ""), (staging_folder(path), "its staging folder ")):
            if entry == folder:
                raise UserError(f"{flag} {shown}: {prefix}is {name}; name a new folder")
            if is_inside(entry, folder):
                raise UserError(f"{flag} {shown}: {prefix}contains {name}; name a new folder")


def check_writable(output: str, *, flag: str = "--output") -> None:
    """Checks, without creating it, that a local folder can be written.

    A command that creates the folder first leaves an empty one behind if it is refused later.

    Args:
        output: The folder; of one that does not exist, the nearest existing folder above it
            is checked. Buckets are not checked.
        flag: The option that names the folder.

    Raises:
        UserError: It is a file, or files cannot be written there.
    """
    if not storage.is_local(output):
        return
    path = os.path.abspath(output)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise UserError(f"{path}: is a file; {flag} {output} must be a folder")
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written; {flag} {output} must be writable")


def is_inside(path: str, folder: str) -> bool:
    """Returns whether a resolved path is a folder, or lies in it at any depth."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def staging_folder(output: str) -> str:
    """Returns the folder that a command writes to before `output` appears."""
    return output.rstrip("/") + ".staging"


def check_replaceable(
    path: str,
    kind: FolderKind,
    *,
    overwrite: bool,
    shown: str | None = None,
    flag: str = "--output",
) -> None:
    """Checks that a folder is missing or empty, or may be replaced.

    Args:
        path: The resolved path.
        kind: What the command writes.
        overwrite: Whether a finished folder of this kind may be replaced.
        shown: The path as the user wrote it.
        flag: The option that names the folder.

    Raises:
        UserError: It is a file, holds a file that this program did not list, or is finished
            and `overwrite` is false.
    """
    shown = _shown(shown or path, path)
    if storage.is_local(path):
        if not os.path.lexists(path):
            return
        if not os.path.isdir(path):
            raise UserError(f"{shown}: is a file; {flag} names a folder")
    check_contents(
        shown,
        names(path),
        kind.listed(path),
        noun=kind.noun,
        overwrite=overwrite,
        unfinished=Journal.read(staging_folder(path)).files,
        flag=flag,
    )


def check_contents(
    shown: str,
    found: Iterable[str],
    listed: Collection[str] | None,
    *,
    noun: str,
    overwrite: bool,
    unfinished: Collection[str] = (),
    flag: str = "--output",
) -> None:
    """Checks the contents of a folder against its own list.

    Args:
        shown: The folder, for messages.
        found: Names of what is in it; read up to the first that is not listed.
        listed: Names of the files that its list names, None if it is not finished.
        noun: Name of the kind of folder.
        overwrite: Whether a finished folder may be replaced.
        unfinished: Names of files that an interrupted publication may have left there.
        flag: The option that names the folder.

    Raises:
        UserError: A file is not listed, or the folder is finished and `overwrite` is false.
    """
    known = {*(listed or ()), *unfinished}
    foreign = next((name for name in found if name not in known), None)
    if foreign is not None and listed is None:
        raise UserError(
            f"{shown}: holds {foreign} and no finished {noun}, so nothing there is replaced; "
            f"choose another {flag}"
        )
    if foreign is not None:
        raise UserError(
            f"{shown}: holds {foreign}, which is not a file of the {noun} there, so nothing there "
            f"is replaced; move it away or choose another {flag}"
        )
    if listed is not None and not overwrite:
        raise UserError(
            f"{shown}: holds a finished {noun}; choose another {flag} or give --overwrite"
        )


def names(folder: str) -> Iterator[str]:
    """Yields the names of all that is in a folder, relative to it.

    Links are not followed. The name of an empty folder ends in a slash.

    Raises:
        UserError: A folder cannot be listed.
    """
    if storage.is_local(folder):
        yield from _local_names(folder, "")
    else:
        for entry in storage.list_tree(folder):
            yield entry.path.removeprefix(f"{folder}/")


def _local_names(folder: str, prefix: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror})") from error
    if prefix and not entries:
        yield prefix
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _local_names(entry.path, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name


def _real(path: str) -> str:
    # `realpath` keeps two slashes at the start, which on Linux mean the same as one.
    return os.sep + os.path.realpath(path).lstrip(os.sep)


def _shown(output: str, path: str) -> str:
    """Returns the path as written, followed by the resolved one if that is another folder."""
    same = not storage.is_local(path) or os.path.abspath(output) == path
    return output if same else f"{output} ({path})"
