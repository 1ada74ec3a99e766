"""An index of texts of any number: built segment by segment, searched by mapping them."""

import glob
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.retrieval.segments import TEXTS, VECTORS, Segment, SegmentWriter

DESCRIPTION = "index.json"
FORMAT_VERSION = 1
TEXT = "text"
# Vectors of one segment, in bytes as stored: what building holds in memory, and a third more.
SEGMENT_BYTES = 512 << 20
_BYTES_PER_NUMBER = 2
DEFAULT_EFFORT = 256
# Equal texts are one answer ("Thanks!" is said often), so more is fetched than shown.
_OVERFETCH = 4


@dataclass(frozen=True)
class Description:
    """`index.json`: what an index was made of. It is written last.

    Attributes:
        model: What queries have to be embedded with.
        source: What was indexed.
        segments: Rows of each segment.
    """

    model: str
    source: str
    dimension: int
    segments: list[int]
    columns: list[str] = field(default_factory=lambda: [TEXT])
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Answer:
    """A text found, with its cosine to the query and its other columns."""

    score: float
    text: str
    fields: dict[str, str]


def segment_path(folder: str, number: int) -> str:
    """Returns the path of a segment without its ending."""
    return os.path.join(folder, f"segment-{number:05d}")


def build(
    folder: str,
    batches: Iterable[tuple[pa.Table, NDArray[np.floating]]],
    *,
    model: str,
    source: str,
    segment_bytes: int = SEGMENT_BYTES,
) -> Description:
    """Writes an index of `batches` into `folder`; one segment at a time is in memory.

    Args:
        folder: Made if missing; an index in it is replaced.
        batches: (columns with `text`, float embeddings [n, d] of unit length).
        model: For `Description`.
        source: For `Description`.
        segment_bytes: Size of a segment's vectors.

    Raises:
        UserError: there is no text at all.
    """
    os.makedirs(folder, exist_ok=True)
    for path in glob.glob(os.path.join(glob.escape(folder), "segment-*")):
        if path.endswith((VECTORS, TEXTS)):
            os.remove(path)
    description_path = os.path.join(folder, DESCRIPTION)
    if os.path.exists(description_path):
        os.remove(description_path)
    segments: list[int] = []
    writer: SegmentWriter | None = None
    dimension, columns = 0, [TEXT]
    for texts, embeddings in batches:
        start = 0
        while start < len(embeddings):
            if writer is None:
                dimension, columns = embeddings.shape[1], texts.column_names
                path = segment_path(folder, len(segments))
                writer = SegmentWriter(path, dimension, texts.schema)
            limit = max(1, segment_bytes // (dimension * _BYTES_PER_NUMBER))
            stop = min(start + limit - writer.rows, len(embeddings))
            writer.add(texts.slice(start, stop - start), embeddings[start:stop])
            start = stop
            if writer.rows >= limit:
                writer.close()
                segments.append(writer.rows)
                writer = None
    if writer is not None:
        writer.close()
        segments.append(writer.rows)
    if not segments:
        raise UserError(f"{source}: holds no text to index")
    description = Description(model, source, dimension, segments, columns)
    with open(description_path + ".part", "w", encoding="utf-8") as file:
        json.dump(asdict(description), file, indent=2)
    os.replace(description_path + ".part", description_path)
    return description


def read_description(folder: str) -> Description | None:
    """Returns what a finished index was made of, None where there is no index.

    Raises:
        UserError: there is one of another format.
    """
    path = os.path.join(folder, DESCRIPTION)
    if not os.path.exists(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            values: dict[str, Any] = json.load(file)
        if values.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format_version is {values.get('format_version')!r}")
        return Description(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be used ({error}); build the index again") from error


class SearchIndex:
    """A finished index, open for queries.

    Raises:
        UserError: there is no finished index in the folder.
    """

    def __init__(self, folder: str):
        description = read_description(folder)
        if description is None:
            raise UserError(f"{folder}: no index is here; name a --corpus to build one")
        self.description = description
        self.segments = [
            Segment(segment_path(folder, number), description.dimension)
            for number in range(len(description.segments))
        ]

    def __len__(self) -> int:
        return sum(segment.rows for segment in self.segments)

    def search(
        self,
        queries: NDArray[np.floating],
        k: int = 10,
        *,
        effort: int = DEFAULT_EFFORT,
        exact: bool = False,
    ) -> list[list[Answer]]:
        """Returns up to `k` different texts for each of `queries` [q, d], best first."""
        answers: list[list[Answer]] = []
        for found in self.rows(queries, k * _OVERFETCH, effort=effort, exact=exact):
            texts: dict[str, Answer] = {}
            for score, segment, row in found:
                fields = self.segments[segment].row(row)
                text = fields.pop(TEXT)
                texts.setdefault(text, Answer(score, text, fields))
                if len(texts) == k:
                    break
            answers.append(list(texts.values()))
        return answers

    def rows(
        self,
        queries: NDArray[np.floating],
        k: int,
        *,
        effort: int = DEFAULT_EFFORT,
        exact: bool = False,
    ) -> list[list[tuple[float, int, int]]]:
        """Returns up to `k` (cosine, segment, row) for each of `queries` [q, d], best first."""
        queries = np.atleast_2d(queries)
        if queries.shape[1] != self.description.dimension:
            raise UserError(
                f"the query has {queries.shape[1]} numbers, the index "
                f"{self.description.dimension}: it was built with {self.description.model}"
            )
        merged: list[list[tuple[float, int, int]]] = [[] for _ in queries]
        for number, segment in enumerate(self.segments):
            found = segment.search(queries, k, effort=effort, exact=exact)
            for rows, own in zip(merged, found, strict=True):
                rows.extend((score, number, row) for score, row in own)
        return [sorted(rows, key=lambda entry: -entry[0])[:k] for rows in merged]
