"""Reads the texts to embed in columns, out of NDJSON, Parquet or a corpus' TFRecord shards.

One batch becomes one output shard. The input's bytes alone decide where a batch
ends, so the shards are the same for every runner and number of workers.
"""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rejoinder import storage
from rejoinder.corpus.embeddings import TEXT
from rejoinder.corpus.texts import read_text
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks
from rejoinder.retrieval.texts import ReadOptions, TextBatch, TextPart

BATCH_ROWS = 16_384  # 50 MB of 768 float32 each
_CHUNK_BYTES = 4 << 20

Columns = dict[str, list[str]]


def read_batches(part: TextPart, options: ReadOptions) -> Iterator[TextBatch]:
    """Yields the batches of one part.

    Raises:
        UserError: The file cannot be read or has no such column.
    """
    if part.kind == "ndjson":
        yield from _read_ndjson(part, options)
        return
    read = _read_parquet if part.kind == "parquet" else _read_tfrecord
    for index, columns in enumerate(read(part, options)):
        yield _batch(part, index, 0, columns, options, bad_rows=0)


def _read_ndjson(part: TextPart, options: ReadOptions) -> Iterator[TextBatch]:
    chunks = read_chunks(
        part.path,
        FileSummary(),
        begin=part.begin,
        end=part.end,
        checksum=False,
        keep_damaged=options.keep_damaged,
        chunk_bytes=_CHUNK_BYTES,
        limit=options.limit,
    )
    for chunk in chunks:
        rows, bad = _parse(chunk.data, options)
        columns = {name: [row[i] for row in rows] for i, name in enumerate(_names(options))}
        for piece, start in enumerate(range(0, max(len(rows), 1), BATCH_ROWS)):
            some = {name: column[start : start + BATCH_ROWS] for name, column in columns.items()}
            yield _batch(part, chunk.index, piece, some, options, bad_rows=0 if piece else bad)


def _parse(data: bytes, options: ReadOptions) -> tuple[list[tuple[str, ...]], int]:
    """Returns (text, kept values…) of each good line, and the number of bad lines."""
    rows, bad = [], 0
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            row: Any = json.loads(line)
            text = row[options.field]
            text.encode()  # a lone surrogate cannot be encoded
            rows.append((text, *(_as_text(row.get(name)) for name in options.keep)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            bad += 1
    return rows, bad


def _as_text(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def _read_parquet(part: TextPart, options: ReadOptions) -> Iterator[Columns]:
    with storage.open_read(part.path) as file:
        try:
            yield from _read_parquet_columns(pq.ParquetFile(file), part.path, options)
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{part.path}: cannot be read as Parquet ({reason})") from error


def _read_parquet_columns(
    parquet: pq.ParquetFile, path: str, options: ReadOptions
) -> Iterator[Columns]:
    columns = (options.field, *options.keep)
    have = parquet.schema_arrow.names
    for name in columns:
        if name not in have:
            raise UserError(f"{path}: no column {name!r}; it has {', '.join(have)}")
        kind = parquet.schema_arrow.field(name).type
        if pa.types.is_nested(kind):
            raise UserError(f"{path}: column {name!r} holds {kind}, must hold text")
    for batch in parquet.iter_batches(BATCH_ROWS, columns=list(columns)):
        table = pa.Table.from_batches([batch])
        yield {
            name: table[column].cast(pa.string()).fill_null("").to_pylist()
            for name, column in zip(_names(options), columns, strict=True)
        }


def _read_tfrecord(part: TextPart, options: ReadOptions) -> Iterator[Columns]:
    folder, shard = part.path.rsplit("/", 1)
    features = (options.field, *options.keep)
    for columns in read_text(folder, [shard], features, batch_size=BATCH_ROWS):
        yield {
            name: columns[feature] for name, feature in zip(_names(options), features, strict=True)
        }


def _names(options: ReadOptions) -> tuple[str, ...]:
    return (TEXT, *options.keep)


def _batch(
    part: TextPart,
    number: int,
    piece: int,
    columns: Columns,
    options: ReadOptions,
    *,
    bad_rows: int,
) -> TextBatch:
    shard = f"part-{part.number:05d}-{number:06d}-{piece:02d}"
    schema = pa.schema([(name, pa.string()) for name in _names(options)])
    return TextBatch(shard, pa.table(columns, schema=schema), bad_rows)
