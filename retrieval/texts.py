"""Finds the texts to embed in NDJSON, Parquet and corpus folders, and divides them into parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from rejoinder import storage
from rejoinder.corpus.embeddings import EMBEDDING, TEXT
from rejoinder.corpus.features import TEXT_FEATURES
from rejoinder.corpus.naming import COMPLETED
from rejoinder.corpus.texts import require_text
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files

# Fields with the texts of Reddit's comments (RC_ files) and submissions (RS_ files).
_COMMENT_FIELD = "body"
_SUBMISSION_FIELDS = ("title", "selftext")


@dataclass(frozen=True)
class TextPart:
    """A worker's share of one input: a whole file, or a range of a large NDJSON file.

    Attributes:
        kind: Format of the file.
        number: Position among the inputs, the first part of its shards' names.
        path: The file.
        size: Its stored bytes.
        begin: First stored byte of the range, as in `input_files.Part`.
        end: Its end; None reads to the end of the file.
    """

    kind: Literal["ndjson", "parquet", "tfrecord"]
    number: int
    path: str
    size: int
    begin: int = 0
    end: int | None = None


@dataclass(frozen=True)
class TextBatch:
    """The rows of one future shard.

    Attributes:
        shard: Its file name without ending.
        table: The column `text`, the kept columns, and `embedding` after the encoder.
        bad_rows: Rows of the input that are left out: not a JSON object, or without a text.
        seconds: Time that embedding it took.
    """

    shard: str
    table: pa.Table
    bad_rows: int
    seconds: float = 0.0


@dataclass(frozen=True)
class ReadOptions:
    """Which values of each row are read.

    Attributes:
        field: The field, column or feature with the text.
        keep: Further ones to write beside the embedding.
        splits: Splits of a corpus.
        limit: Lines read of an NDJSON file; 0 reads all.
        keep_damaged: Whether to use the readable part of a damaged archive.
    """

    field: str
    keep: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "test")
    limit: int = 0
    keep_damaged: bool = False

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise UserError(f"--limit: must be at least 0, got {self.limit}")
        for index, name in enumerate(self.keep):
            if name in (TEXT, EMBEDDING):
                raise UserError(
                    f"--keep {name}: the shards have a column of this name, which holds the "
                    f"{'text of --field ' + self.field if name == TEXT else 'embedding'}; rename "
                    "the field in the input"
                )
            if name in self.keep[:index]:
                raise UserError(f"--keep {name}: is given twice")


def find_parts(patterns: Sequence[str], options: ReadOptions, workers: int = 1) -> list[TextPart]:
    """Returns the parts of all inputs.

    Args:
        patterns: Corpus folders, folders of Parquet files, files and globs.
        options: Which values will be read.
        workers: Workers that share large NDJSON files.

    Raises:
        UserError: A pattern matches nothing, or a corpus has no text or no such feature.
    """
    parts: list[TextPart] = []
    for pattern in patterns:
        if not pattern.strip():
            raise UserError("--input: is empty; give a file, a folder or a glob")
        folder = pattern.rstrip("/") or "/"
        if storage.exists(storage.join(folder, COMPLETED)):
            parts += _corpus_shards(folder, options, len(parts))
            continue
        parquet = storage.glob(storage.join(folder, "*.parquet")) if "*" not in folder else []
        for file in parquet or _find_dumps(pattern, options.field):
            parts += _divide(file, len({part.number for part in parts}), workers)
    return parts


def _find_dumps(pattern: str, field: str) -> list[storage.FileEntry]:
    """Returns the NDJSON files of a pattern: of a folder its comments, or its submissions.

    Raises:
        UserError: Nothing matches, or a file of submissions would be read for comments.
    """
    names = "RS_*" if field in _SUBMISSION_FIELDS else "RC_*"
    files = input_files.expand([pattern], (names,), accept_submissions=True)
    for file in files:
        if field == _COMMENT_FIELD and input_files.is_submissions(file.path):
            raise UserError(
                f"{file.path}: RS_ files hold submissions, which have no {field!r}; "
                f"give --field {' or '.join(_SUBMISSION_FIELDS)}, or the RC_ file of the month"
            )
    return files


def _divide(file: storage.FileEntry, number: int, workers: int) -> list[TextPart]:
    if file.path.endswith(".parquet"):
        return [TextPart("parquet", number, file.path, file.size)]
    return [
        TextPart("ndjson", number, file.path, file.size, part.begin, part.end)
        for part in input_files.divide([file], workers)
    ]


def _corpus_shards(folder: str, options: ReadOptions, first: int) -> list[TextPart]:
    unknown = sorted({options.field, *options.keep} - {*TEXT_FEATURES})
    if unknown:
        raise UserError(
            f"{folder}: a corpus has no text feature {unknown[0]!r}; "
            f"it has {', '.join(TEXT_FEATURES)}"
        )
    shards = [s for split in options.splits for s in require_text(folder, split).splits[split]]
    return [
        TextPart("tfrecord", first + index, storage.join(folder, shard.name), shard.bytes)
        for index, shard in enumerate(shards)
    ]
