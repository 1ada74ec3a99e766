"""Texts to embed, out of NDJSON, Parquet or a corpus' TFRecord shards, in columns.

One batch becomes one output shard. Where a batch ends depends on the input's bytes
alone, so the shards are the same whatever runner or number of workers makes them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rejoinder import storage
from rejoinder.corpus.features import TEXT_FEATURES
from rejoinder.corpus.naming import COMPLETED
from rejoinder.corpus.texts import read_text, require_text
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks

TEXT = "text"
BATCH_ROWS = 16_384  # 50 MB of 768 float32 each
_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class Source:
    """A worker's share of one input, all of it but for large NDJSON files.

    Attributes:
        kind: "ndjson", "parquet" or "tfrecord".
        number: Position among the inputs, the first part of its shards' names.
        begin: As in `inputs.Part`.
        end: As in `inputs.Part`.
    """

    kind: str
    number: int
    path: str
    size: int
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True)
class TextBatch:
    """Rows of one future shard.

    Attributes:
        shard: Its file name without ending.
        table: Column `text`, the columns kept beside it, `embedding` once there is one.
        bad_rows: Rows of the input left out: no JSON object, or the text is no string.
    """

    shard: str
    table: pa.Table
    bad_rows: int


@dataclass(frozen=True)
class ReadOptions:
    """What to take from each row: `field` as text, the columns `keep` beside it.

    Attributes:
        splits: Splits of a corpus.
        limit: Lines read of an NDJSON file; 0 reads all.
        keep_damaged: Use what a damaged archive still gives.
    """

    field: str
    keep: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "test")
    limit: int = 0
    keep_damaged: bool = False


def find_sources(patterns: Sequence[str], options: ReadOptions, workers: int = 1) -> list[Source]:
    """Returns what `patterns` name: corpus folders, folders of Parquet files, files and globs.

    Raises:
        UserError: nothing is there, or a corpus has no text or no such feature.
    """
    sources: list[Source] = []
    for pattern in patterns:
        folder = pattern.rstrip("/")
        if storage.exists(storage.join(folder, COMPLETED)):
            sources += _corpus_shards(folder, options, len(sources))
            continue
        parquet = storage.glob(storage.join(folder, "*.parquet")) if "*" not in folder else []
        files = parquet or input_files.expand([pattern])
        for file in files:
            kind = "parquet" if file.path.endswith(".parquet") else "ndjson"
            parts = input_files.divide([file], workers if kind == "ndjson" else 1)
            number = len({source.number for source in sources})
            sources += [
                Source(kind, number, file.path, file.size, part.begin, part.end) for part in parts
            ]
    return sources


def _corpus_shards(folder: str, options: ReadOptions, first: int) -> list[Source]:
    unknown = sorted({options.field, *options.keep} - {*TEXT_FEATURES})
    if unknown:
        raise UserError(
            f"{folder}: a corpus has no text feature {unknown[0]!r}; "
            f"it has {', '.join(TEXT_FEATURES)}"
        )
    shards = [s for split in options.splits for s in require_text(folder, split).splits[split]]
    return [
        Source("tfrecord", first + index, storage.join(folder, shard.name), shard.bytes)
        for index, shard in enumerate(shards)
    ]


def read_batches(source: Source, options: ReadOptions) -> Iterator[TextBatch]:
    """Yields the batches of one source.

    Raises:
        UserError: the file cannot be read or has no such column.
    """
    if source.kind == "ndjson":
        yield from _read_ndjson(source, options)
        return
    read = _read_parquet if source.kind == "parquet" else _read_tfrecord
    for index, columns in enumerate(read(source, options)):
        yield _batch(source, index, 0, columns, options, bad_rows=0)


def _read_ndjson(source: Source, options: ReadOptions) -> Iterator[TextBatch]:
    chunks = read_chunks(
        source.path,
        FileSummary(),
        begin=source.begin,
        end=source.end,
        checksum=False,
        keep_damaged=options.keep_damaged,
        chunk_bytes=_CHUNK_BYTES,
        limit=options.limit,
    )
    for chunk in chunks:
        rows, bad = _parse(chunk.data, options)
        columns = {name: [row[i] for row in rows] for i, name in enumerate(_names(options))}
        for piece, start in enumerate(range(0, max(len(rows), 1), BATCH_ROWS)):
            part = {name: column[start : start + BATCH_ROWS] for name, column in columns.items()}
            yield _batch(source, chunk.index, piece, part, options, bad_rows=0 if piece else bad)


def _parse(data: bytes, options: ReadOptions) -> tuple[list[tuple[str, ...]], int]:
    """Returns (text, kept values…) of each good line, and how many lines were not good."""
    rows, bad = [], 0
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            row: Any = json.loads(line)
            text = row[options.field]
            text.encode()  # a lone surrogate is no text
            rows.append((text, *(_as_text(row.get(name)) for name in options.keep)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            bad += 1
    return rows, bad


def _as_text(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def _read_parquet(source: Source, options: ReadOptions) -> Iterator[dict[str, list[str]]]:
    with storage.open_read(source.path) as file:
        try:
            parquet = pq.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise UserError(f"{source.path}: not a Parquet file ({error})") from error
        have = parquet.schema_arrow.names
        for name in (options.field, *options.keep):
            if name not in have:
                raise UserError(f"{source.path}: no column {name!r}; it has {', '.join(have)}")
        columns = [options.field, *options.keep]
        for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
            table = pa.Table.from_batches([batch])
            yield {
                name: table[column].cast(pa.string()).fill_null("").to_pylist()
                for name, column in zip(_names(options), columns, strict=True)
            }


def _read_tfrecord(source: Source, options: ReadOptions) -> Iterator[dict[str, list[str]]]:
    folder, shard = source.path.rsplit("/", 1)
    features = (options.field, *options.keep)
    for columns in read_text(folder, [shard], features, batch_size=BATCH_ROWS):
        yield {
            name: columns[feature] for name, feature in zip(_names(options), features, strict=True)
        }


def _names(options: ReadOptions) -> tuple[str, ...]:
    return (TEXT, *options.keep)


def _batch(
    source: Source,
    number: int,
    piece: int,
    columns: dict[str, list[str]],
    options: ReadOptions,
    *,
    bad_rows: int,
) -> TextBatch:
    shard = f"part-{source.number:05d}-{number:06d}-{piece:02d}"
    schema = pa.schema([(name, pa.string()) for name in _names(options)])
    return TextBatch(shard, pa.table(columns, schema=schema), bad_rows)
