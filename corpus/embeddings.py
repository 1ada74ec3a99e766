"""The on-disk contract of an embeddings folder, which `rejoinder embed` writes.

- `<shard>.parquet`: the columns `text` and `embedding`, and those kept from the input. An
  embedding of d numbers is a fixed-size list of d float32, float16 or int8, or ⌈d/8⌉ bytes
  (fixed-size binary) of sign bits, as `rejoinder.models.quantize` makes them. Each page has a
  checksum.
- `manifest.json`: the job's options, row counts, and the shards with size and SHA-256; written
  last.
"""

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

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
BINARY = "binary"
# Name of the stored type → Arrow type of one number; `BINARY` embeddings are bytes.
DTYPES = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
    BINARY: None,
}
_BATCH_ROWS = 4096


class EmbeddingShard(NamedTuple):
    """One shard of a job.

    Attributes:
        name: File name inside the folder, with its ending.
        rows: Embedded rows; a shard without rows has no file.
        bad_rows: Rows of the input that were left out.
        bytes: Size of the file.
        sha256: SHA-256 of the file, in hexadecimal digits.
    """

    name: str
    rows: int
    bad_rows: int
    bytes: int
    sha256: str


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
        "shards": [
            {"name": shard.name, "rows": shard.rows, "bytes": shard.bytes, "sha256": shard.sha256}
            for shard in ordered
            if shard.rows
        ],
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


def embedding_column(embeddings: NDArray[Any], dtype: str) -> pa.Array:
    """Returns the column `embedding`.

    Args:
        embeddings: [rows, d] of one of `DTYPES`, or uint8 [rows, d/8] of sign bits.
        dtype: A key of `DTYPES`.
    """
    rows, width = embeddings.shape
    values = np.ascontiguousarray(embeddings)
    if dtype == BINARY:
        return pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), rows, [None, pa.py_buffer(values)]
        )
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), DTYPES[dtype]), width)


def write_table(table: pa.Table, stream: BinaryIO) -> None:
    """Writes a shard as Parquet; its pages have checksums."""
    # Embeddings neither repeat nor compress; the other columns do both. A dictionary stores an
    # int8 in a byte, for which Parquet otherwise takes four.
    repeated = [name for name in table.column_names if name != EMBEDDING]
    kind = table.schema.field(EMBEDDING).type
    if pa.types.is_fixed_size_list(kind) and pa.types.is_int8(kind.value_type):
        repeated.append(f"{EMBEDDING}.list.element")
    pq.write_table(
        table, stream, compression="zstd", use_dictionary=repeated, write_page_checksum=True
    )


def read_embeddings(table: pa.Table) -> NDArray[Any]:
    """Returns the column `embedding` of a table, without a copy.

    Returns:
        float32, float16 or int8 [rows, d], or uint8 [rows, d/8] of sign bits.
    """
    column = table[EMBEDDING].combine_chunks()
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        bits = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :]
        return bits[: len(column) * width].reshape(-1, width)
    values: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)


def read_batches(folder: str) -> Iterator[tuple[pa.Table, NDArray[np.float32]]]:
    """Yields the rows of an embeddings folder, sorted by file name.

    Any Parquet files with the two columns are read, with or without a manifest.
    Rows without a text are left out.

    Args:
        folder: The embeddings folder.

    Yields:
        The columns other than `embedding`, at most 4,096 rows, and their embeddings,
        float32 [rows, d] of unit length. A number of a `BINARY` embedding is ±1/√d.

    Raises:
        UserError: The folder holds no Parquet file, or one is damaged, lacks a column or has
            embeddings of another type.
    """
    paths = _parquet_files(folder.rstrip("/"))
    if not paths:
        raise UserError(f"{folder}: is neither a corpus nor a folder of Parquet files")
    for path in paths:
        with storage.open_read(path) as stream:
            for table in _read_tables(path, stream):
                table = table.filter(pc.greater(pc.utf8_length(table[TEXT]), 0))
                if table.num_rows:
                    yield table.drop_columns([EMBEDDING]), _unit_length(read_embeddings(table))


def _read_tables(path: str, stream: BinaryIO) -> Iterator[pa.Table]:
    try:
        file = pq.ParquetFile(stream, page_checksum_verification=True)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: not a Parquet file ({error})") from error
    _check_columns(path, file.schema_arrow)
    batches = file.iter_batches(_BATCH_ROWS)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{path}: is damaged ({error}); embed the texts again") from error
        yield pa.Table.from_batches([batch])


def _parquet_files(folder: str) -> list[str]:
    # Not a glob, because the folder's name may look like one.
    paths = [entry.path for entry in storage.list_tree(folder)]
    return [
        path for path in paths if path.endswith(".parquet") and posixpath.dirname(path) == folder
    ]


def _check_columns(path: str, schema: pa.Schema) -> None:
    if TEXT not in schema.names or EMBEDDING not in schema.names:
        raise UserError(
            f"{path}: needs the columns {TEXT} and {EMBEDDING}, has {', '.join(schema.names)}; "
            "make it with `rejoinder embed`"
        )
    kind = schema.field(EMBEDDING).type
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind)
    numbers = kind.value_type if is_list else None
    if not (
        pa.types.is_fixed_size_binary(kind)
        or (numbers is not None and (pa.types.is_floating(numbers) or pa.types.is_int8(numbers)))
    ):
        raise UserError(
            f"{path}: the column {EMBEDDING} is {kind}; it must be a list of floating-point "
            "numbers or int8, or bytes of sign bits (fixed-size binary)"
        )


def _unit_length(vectors: NDArray[Any]) -> NDArray[np.float32]:
    if vectors.dtype == np.uint8:
        found = 2 * np.unpackbits(vectors, axis=1).astype(np.float32) - 1
    else:
        found = vectors.astype(np.float32)
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    found /= np.where(norm == 0, 1, norm)
    return found
