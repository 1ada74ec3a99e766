"""Local copies of model folders in buckets, for libraries that open local files only."""

import fnmatch
import posixpath
import tempfile
from functools import cache
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.weight_files.open_weights import TORCH_FILES

# The files of a Hugging Face or sentence-transformers folder that this project reads.
MODEL_FILES = (".json", ".safetensors", ".txt", ".md")

_copies: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


def local_folder(folder: str) -> Path:
    """Returns a local folder unchanged, and a local copy of a folder in a bucket.

    Args:
        folder: The folder, on any file system of `rejoinder.storage`.

    Returns:
        A folder that lives as long as the process, with the files of `MODEL_FILES`, and with
        torch's weights where there are no others.

    Raises:
        UserError: There is no such folder, or a file cannot be read.
    """
    return Path(folder) if storage.is_local(folder) else _copy(folder.rstrip("/"))


@cache
def _copy(folder: str) -> Path:
    paths = [entry.path for entry in storage.list_tree(folder)]
    names = [path.removeprefix(f"{folder}/") for path in paths if path.endswith(MODEL_FILES)]
    if not names:
        raise UserError(f"{folder}: holds no model; give the folder of one")
    if not any(name.endswith(".safetensors") for name in names):
        below = (path.removeprefix(f"{folder}/") for path in paths)
        names += [name for name in below if fnmatch.fnmatch(name, f"*{TORCH_FILES}")]
    copy = tempfile.TemporaryDirectory(prefix="rejoinder-model-")
    _copies.append(copy)
    for name in names:
        target = Path(copy.name, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(storage.read_bytes(posixpath.join(folder, name)))
    return Path(copy.name)
