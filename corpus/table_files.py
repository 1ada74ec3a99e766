"""Files of pairs for other programs, made from the examples of a shard.

- `parquet`: a column per text feature. An empty file has no row group, because
  `datasets.load_dataset` refuses one without rows.
- `jsonl`: the same as an object per line.
- `polyai-json`: the JSON format of https://github.com/PolyAI-LDN/conversational-datasets,
  with the features that its Reddit data has.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rejoinder.corpus import tfrecord
from rejoinder.corpus.examples import ExampleReader, Spans
from rejoinder.corpus.features import CONTEXT_AUTHOR, CONTEXT_ID, RESPONSE_ID
from rejoinder.corpus.naming import TableFormat

# Where a format's files are inside the folder, and how their names end.
_PLACES = {
    "parquet": ("data/", ".parquet"),
    "jsonl": ("data/", ".jsonl"),
    "polyai-json": ("", ".json"),
}
_BATCH_ROWS = 65_536

Values = list[str | None]


@dataclass(frozen=True)
class TableFiles:
    """A format, and the text features that are written.

    Attributes:
        format: One of `rejoinder.corpus.naming.TABLE_FORMATS`.
        features: Names of text features in the order of the columns.
    """

    format: TableFormat
    features: tuple[str, ...]

    @classmethod
    def of(cls, table_format: TableFormat, features: Sequence[str]) -> "TableFiles":
        """Returns the files of a corpus with these text features."""
        as_polyai = table_format == "polyai-json"
        return cls(table_format, tuple(n for n in features if not (as_polyai and _is_foreign(n))))

    def file_name(self, split: str, index: int, count: int) -> str:
        """Returns a file's path inside the folder, e.g. `data/train-00000-of-00004.parquet`."""
        folder, ending = _PLACES[self.format]
        return f"{folder}{split}-{index:05d}-of-{count:05d}{ending}"

    def pattern(self, split: str) -> str:
        """Returns the glob of a split's files, e.g. `data/train-*.parquet`."""
        folder, ending = _PLACES[self.format]
        return f"{folder}{split}-*{ending}"

    def encode(self, shard: bytes) -> bytes:
        """Converts the bytes of a shard file to those of a table file.

        Equal shards give equal bytes with the same release of pyarrow.

        Raises:
            BadRecordError: The shard is damaged.
            NotAnExampleError: A record is not an example of this project.
        """
        batches = _read_columns(shard, self.features)
        return (
            _encode_parquet(batches, self.features)
            if self.format == "parquet"
            else b"".join(_encode_json(columns, self.format) for columns in batches)
        )


def _is_foreign(name: str) -> bool:
    """Returns whether PolyAI's JSON lacks a feature."""
    kind, slash, _ = name.partition("/")
    return kind in (CONTEXT_ID, RESPONSE_ID) or bool(slash and kind == CONTEXT_AUTHOR)


def _read_columns(shard: bytes, features: Sequence[str]) -> Iterator[dict[str, Values]]:
    """Yields batches of the values of each feature, None where an example lacks it."""
    reader = ExampleReader(shard)
    bounds = np.array(list(tfrecord.find_records(shard)), np.int64).reshape(-1, 2)
    for start in range(0, len(bounds), _BATCH_ROWS):
        begin, end = bounds[start : start + _BATCH_ROWS].T
        spans = reader.find(Spans(begin, end), features)
        yield {name: _values(reader, spans[name]) for name in features}


def _values(reader: ExampleReader, spans: Spans) -> Values:
    # A value never begins at the file's first byte: 0 marks an absent feature.
    present = (spans.begin > 0).tolist()
    pairs = zip(reader.texts(spans), present, strict=True)
    return [text if there else None for text, there in pairs]


def _encode_parquet(batches: Iterator[dict[str, Values]], features: Sequence[str]) -> bytes:
    schema = pa.schema([(name, pa.string()) for name in features])
    file = io.BytesIO()
    with pq.ParquetWriter(file, schema, compression="zstd", version="2.6") as writer:
        for columns in batches:
            writer.write_table(pa.table(columns, schema=schema))
    return file.getvalue()


def _encode_json(columns: dict[str, Values], table_format: TableFormat) -> bytes:
    as_polyai = table_format == "polyai-json"
    lines = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        if as_polyai:
            row = {name: value for name, value in row.items() if value is not None}
        lines.append(json.dumps(row, ensure_ascii=False, sort_keys=as_polyai) + "\n")
    return "".join(lines).encode()
