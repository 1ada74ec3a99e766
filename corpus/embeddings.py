"""The on-disk contract of an embeddings folder, which `rejoinder embed` writes.

- `<shard>.parquet`: the columns `text` and `embedding`, and those kept from the input.
- `manifest.json`: the job's options, row counts and shards; written last.
"""

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.output import FolderKind

TEXT = "text"
EMBEDDING = "embedding"
MANIFEST = "manifest.json"
FORMAT_VERSION = 1
_BATCH_ROWS = 4096


class EmbeddingShard(NamedTuple):
    """One shard of a job.

    Attributes:
        name: File name inside the folder, with its ending.
        rows: Embedded rows; a shard without rows has no file.
        bad_rows: Rows of the input that were left out.
        bytes: Size of the file.
    """

    name: str
    rows: int
    bad_rows: int
    bytes: int


def manifest_text(shards: Iterable[EmbeddingShard], options: Mapping[str, Any]) -> str:
    """Returns the text of `manifest.json`; a folder without it is not finished.

    Args:
        shards: All shards of the job, in any order.
        options: JSON values; the key "model" names the model that made the embeddings.
    """
    ordered = sorted(shards)
    manifest = {
        "format_version": FORMAT_VERSION,
        "spec": dict(options),
        "rows": sum(shard.rows for shard in ordered),
        "bad_rows": sum(shard.bad_rows for shard in ordered),
        "shards": [{"name": shard.name, "rows": shard.rows} for shard in ordered if shard.rows],
    }
    return json.dumps(manifest, indent=2, sort_keys=True) + "\n"


def listed_files(folder: str) -> frozenset[str] | None:
    """Returns the names of the files of finished embeddings, None if there are none.

    Args:
        folder: The embeddings folder, on any file system of `rejoinder.storage`.
    """
    path = storage.join(folder, MANIFEST)
    if not storage.exists(path):
        return None
    try:
        values = json.loads(storage.read_bytes(path))
        if not {"format_version", "spec", "rows", "bad_rows"} <= values.keys():
            return None
        return frozenset({MANIFEST, *(shard["name"] for shard in values["shards"])})
    except (ValueError, KeyError, TypeError, AttributeError):  # another program's manifest.json
        return None


EMBEDDINGS = FolderKind("embeddings folder", listed_files)


def embedding_model(folder: str) -> str | None:
    """Returns the model that made an embeddings folder, None if the folder does not name one."""
    path = storage.join(folder, MANIFEST)
    if not storage.exists(path):
        return None
    try:
        return str(json.loads(storage.read_bytes(path))["spec"]["model"])
    except (ValueError, KeyError, TypeError):  # another program's manifest.json
        return None


def read_embeddings(table: pa.Table) -> NDArray[np.floating]:
    """Returns the column `embedding` of a table, float16 or float32 [rows, d], without a copy."""
    column = table[EMBEDDING].combine_chunks()
    values: NDArray[np.floating] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)


def read_batches(folder: str) -> Iterator[tuple[pa.Table, NDArray[np.float32]]]:
    """Yields the rows of an embeddings folder, sorted by file name.

    Any Parquet files with the two columns are read, with or without a manifest.
    Rows without a text are left out.

    Args:
        folder: The embeddings folder.

    Yields:
        The columns other than `embedding`, at most 4,096 rows, and their embeddings,
        float32 [rows, d] of unit length.

    Raises:
        UserError: The folder holds no Parquet file, or one lacks a column.
    """
    paths = _parquet_files(folder.rstrip("/"))
    if not paths:
        raise UserError(f"{folder}: is neither a corpus nor a folder of Parquet files")
    for path in paths:
        with storage.open_read(path) as stream:
            try:
                file = pq.ParquetFile(stream)
            except (OSError, pa.ArrowInvalid) as error:
                raise UserError(f"{path}: not a Parquet file ({error})") from error
            _check_columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(_BATCH_ROWS):
                table = pa.Table.from_batches([batch])
                table = table.filter(pc.greater(pc.utf8_length(table[TEXT]), 0))
                if table.num_rows:
                    yield table.drop_columns([EMBEDDING]), _unit_length(read_embeddings(table))


def _parquet_files(folder: str) -> list[str]:
    # Not a glob, because the folder's name may look like one.
    paths = [entry.path for entry in storage.list_tree(folder)]
    return [
        path for path in paths if path.endswith(".parquet") and posixpath.dirname(path) == folder
    ]


def _check_columns(path: str, names: list[str]) -> None:
    if TEXT not in names or EMBEDDING not in names:
        raise UserError(
            f"{path}: needs the columns {TEXT} and {EMBEDDING}, has {', '.join(names)}; "
            "make it with `rejoinder embed`"
        )


def _unit_length(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    found = vectors.astype(np.float32)
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    found /= np.where(norm == 0, 1, norm)
    return found
