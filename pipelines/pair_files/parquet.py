"""Reads Parquet as JSON lines, one per row, so that the job treats all files alike."""

import hashlib
from collections.abc import Callable, Generator, Sequence
from typing import BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.chunks import FileSummary
from rejoinder.pipelines.pair_files import forms

_BATCH_ROWS = 16_384
_HASH_BYTES = 1 << 20


def json_lines(
    path: str,
    summary: FileSummary,
    columns: Sequence[str],
    *,
    checksum: bool,
    progress: Callable[[int], None],
) -> Generator[bytes, None, None]:
    """Converts the columns that hold pairs to JSON lines, a row group after another.

    Args:
        path: The file.
        summary: Its `stored_bytes` is where the row group ends; see `chunks.read_chunks`.
        columns: The two columns that the user named; empty accepts every form of `forms`.
        checksum: Whether to compute the SHA-256 of the file.
        progress: Called with the number of stored bytes read so far.

    Raises:
        UserError: The file is not Parquet, is damaged, or has no columns of texts that
            hold pairs.
    """
    with storage.open_read(path) as file:
        try:
            parquet = pq.ParquetFile(file)
            keys = _choose_columns(path, parquet.schema_arrow, columns)
            for index in range(parquet.num_row_groups):
                summary.stored_bytes = _end_of(parquet.metadata.row_group(index))
                progress(summary.stored_bytes)
                for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[index], columns=keys):
                    batch.validate(full=True)  # texts that are not UTF-8
                    yield _encode(batch)
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: cannot be read as Parquet ({reason})") from error
        if checksum:
            file.seek(0)
            summary.sha256 = _sha256(file)
    summary.stored_bytes = storage.size(path)


def _choose_columns(path: str, schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    keys = forms.choose_keys(schema.names, columns)
    if keys is None:
        raise forms.unknown_keys_error(path, schema.names, columns)
    for key in keys:
        found = schema.field(key).type
        if not _is_text(found.value_type if _is_list(found) else found):
            raise UserError(f"{path}: the column {key!r} holds {found}, not text")
    return list(keys)


def _is_list(found: pa.DataType) -> bool:
    return bool(types.is_list(found) or types.is_large_list(found))


def _is_text(found: pa.DataType) -> bool:
    if types.is_dictionary(found):
        found = found.value_type
    return bool(
        types.is_string(found) or types.is_large_string(found) or types.is_string_view(found)
    )


def _end_of(group: pq.RowGroupMetaData) -> int:
    """Returns the stored offset behind a row group."""
    columns = [group.column(index) for index in range(group.num_columns)]
    starts = [
        min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
        for column in columns
    ]
    return max(
        start + column.total_compressed_size for start, column in zip(starts, columns, strict=True)
    )


def _encode(batch: pa.RecordBatch) -> bytes:
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)
    return frame.write_ndjson().encode()


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while data := file.read(_HASH_BYTES):
        digest.update(data)
    return digest.hexdigest()
