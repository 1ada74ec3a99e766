"""Publishes versions of a model in a bucket, where a folder cannot be renamed.

A version is written on the local disk, uploaded to a staging folder of the bucket and
published as every output there (`rejoinder.publishing`): `saved_model.pb` is written after
the other files and the version's last file after that, so a server that polls the base
folder takes no part of a version for the whole.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rejoinder import storage
from rejoinder.models.saved_model.publish import existing_version
from rejoinder.output import FolderKind, check_replaceable
from rejoinder.publishing import Move, publish
from rejoinder.staging import lock_staging

_UPLOADS = 8
_LATE = "saved_model.pb"


def publish_in_bucket(base: str, write: Callable[[Path], None], *, version: int, last: str) -> str:
    """Writes one version folder and publishes it in a bucket.

    A call that was killed leaves a staging folder and perhaps some files of the version, which
    an export with the same version number replaces. Two exports of one version must not run at
    once: stores have no locks.

    Args:
        base: Folder of all versions in a bucket.
        write: Writes the version's files into the local folder it is given.
        version: Version number.
        last: Name of the file without which the version is not finished.

    Returns:
        The published folder, `base/<version>`.

    Raises:
        UserError: The version exists, its folder holds other files, or the store failed.
    """
    target = storage.join(base, str(version))
    if storage.exists(storage.join(target, last)):
        raise existing_version(target)
    kind = FolderKind("model version", lambda folder: None)
    check_replaceable(target, kind, overwrite=False)
    with (
        tempfile.TemporaryDirectory(prefix="rejoinder-export-") as local,
        lock_staging(target) as staging,
    ):
        folder = Path(local, str(version))
        folder.mkdir()
        write(folder)
        names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        documents = {name: (folder / name).read_bytes() for name in names if name in (_LATE, last)}
        moves = _upload(folder, staging, [name for name in names if name not in documents])
        publish(target, staging, kind, overwrite=False, moves=moves, documents=documents, last=last)
    return target


def _upload(folder: Path, staging: str, names: list[str]) -> dict[str, Move]:
    """Uploads files of a local folder; returns where each is and its size."""
    staged = {name: storage.join(staging, "files", name) for name in names}

    def upload(name: str) -> None:
        storage.upload(str(folder / name), staged[name])

    with ThreadPoolExecutor(_UPLOADS) as pool:
        list(pool.map(upload, names))
    return {name: Move(staged[name], (folder / name).stat().st_size) for name in names}


def check_bucket(base: str) -> None:
    """Checks that a bucket can be listed, before a model is loaded and written.

    Raises:
        UserError: It cannot.
    """
    next(storage.list_tree(base), None)
