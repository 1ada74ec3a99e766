"""The files of an index: `index.json`, and segments of vectors and texts."""

import json
from dataclasses import dataclass, field
from typing import Any

from rejoinder import storage
from rejoinder.corpus.embeddings import TEXT
from rejoinder.errors import UserError
from rejoinder.output import FolderKind
from rejoinder.retrieval.dtypes import B1, DTYPES, F16

DESCRIPTION = "index.json"
# Endings of the files of a segment.
VECTORS, TEXTS, RESCORING = ".usearch", ".arrow", ".int8"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Description:
    """`index.json`, which is written last: what an index was built from.

    Attributes:
        model: The model that embedded the texts; queries need the same one.
        source: The indexed folder.
        dimension: Numbers in an embedding.
        segments: Number of rows of each segment.
        columns: The text and the columns stored with it.
        dtype: Type of the graph's numbers, a key of `DTYPES`.
        format_version: Version of the index format.
    """

    model: str
    source: str
    dimension: int
    segments: list[int]
    columns: list[str] = field(default_factory=lambda: [TEXT])
    dtype: str = F16
    format_version: int = FORMAT_VERSION


def read_description(folder: str) -> Description | None:
    """Returns the description of a finished index, None if the folder holds none.

    Raises:
        UserError: The folder is not local, or the index has another format.
    """
    require_local(folder)
    path = storage.join(folder, DESCRIPTION)
    if not storage.exists(path):
        return None
    try:
        values: dict[str, Any] = json.loads(storage.read_bytes(path))
        if values.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format_version is {values.get('format_version')!r}")
        if values.get("dtype", F16) not in DTYPES:
            raise ValueError(f"dtype is {values['dtype']!r}")
        return Description(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be used ({error}); build the index again") from error


def listed_files(folder: str) -> frozenset[str] | None:
    """Returns the names of a finished index' files, None if the folder holds no index.

    An index of another format version counts too.
    """
    path = storage.join(folder, DESCRIPTION)
    if not storage.exists(path):
        return None
    try:
        values = json.loads(storage.read_bytes(path))
        segments, dtype = len(values["segments"]), values.get("dtype", F16)
        if not {"model", "source", "dimension"} <= values.keys():
            return None
    except (ValueError, KeyError, TypeError, AttributeError):  # another program's index.json
        return None
    return frozenset({DESCRIPTION, *segment_files(segments, dtype)})


INDEX = FolderKind("index", listed_files)


def segment_files(count: int, dtype: str) -> list[str]:
    """Returns the names of the files of an index of `count` segments, without `index.json`."""
    endings = segment_endings(dtype)
    return [segment_path("", number) + ending for number in range(count) for ending in endings]


def segment_endings(dtype: str) -> list[str]:
    """Returns the endings of the files of a segment whose graph has numbers of `dtype`."""
    return [VECTORS, TEXTS, *([RESCORING] if dtype == B1 else [])]


def segment_path(folder: str, number: int) -> str:
    """Returns the path of a segment's files without their extensions."""
    return storage.join(folder, f"segment-{number:05d}")


def require_local(folder: str) -> None:
    """Checks that the folder of an index is local.

    Raises:
        UserError: The folder is in a bucket.
    """
    if not storage.is_local(folder):
        raise UserError(
            f"{folder}: an index is memory-mapped, so its folder must be local; "
            "copy it to this machine, or give a local --index"
        )
