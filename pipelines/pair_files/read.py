"""Opens a pair file of any kind as chunks of JSON lines."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.chunks import (
    Chunk,
    FileSummary,
    cut_chunks,
    file_blocks,
    read_chunks,
)
from rejoinder.pipelines.dumps.codecs import CODECS
from rejoinder.pipelines.pair_files import delimited, parquet

_PARQUET_MAGIC = b"PAR1"


def delimited_kind(path: str) -> Literal["csv", "tsv"] | None:
    """Returns the kind of a CSV or TSV file, compressed or not, by its name."""
    name = _uncompressed_name(path)
    return "csv" if name.endswith(".csv") else "tsv" if name.endswith(".tsv") else None


def _uncompressed_name(path: str) -> str:
    name = path.lower()
    endings = (codec.ending for codec in CODECS.values())
    return name.removesuffix(next((end for end in endings if name.endswith(end)), ""))


def _is_parquet(path: str) -> bool:
    named = _uncompressed_name(path).endswith(".parquet")
    with storage.open_read(path) as file:
        found = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    if named and not found:
        raise UserError(f"{path}: is not a Parquet file; if it is compressed, decompress it first")
    return found


def read_pair_chunks(
    path: str,
    summary: FileSummary,
    columns: Sequence[str],
    *,
    begin: int,
    end: int | None,
    checksum: bool,
    keep_damaged: bool,
    limit: int,
    progress: Callable[[int], None],
) -> Iterator[Chunk]:
    """Yields chunks of JSON lines; a row of a table is a line.

    Args:
        path: The file: JSON lines, CSV or TSV by its name, or Parquet by its first bytes.
        summary: Updated while the file is read.
        columns: The two columns that the user named.
        begin: See `chunks.read_chunks`, as for all below.
        end: See there.
        checksum: See there.
        keep_damaged: See there.
        limit: See there.
        progress: See there.

    Raises:
        UserError: The file cannot be read, or its columns hold no pairs.
    """
    kind = delimited_kind(path)
    if kind is not None:
        stored = file_blocks(path, summary, checksum, keep_damaged, progress)
        blocks = delimited.json_lines(path, stored, kind, columns)
    elif _is_parquet(path):
        blocks = parquet.json_lines(path, summary, columns, checksum=checksum, progress=progress)
    else:
        yield from read_chunks(
            path,
            summary,
            begin=begin,
            end=end,
            checksum=checksum,
            keep_damaged=keep_damaged,
            limit=limit,
            progress=progress,
        )
        return
    yield from cut_chunks(blocks, summary, begin=begin, end=end, limit=limit)
