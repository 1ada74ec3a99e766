"""A search index of any size: built segment by segment, memory-mapped for queries."""

import glob
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.corpus.embeddings import TEXT
from rejoinder.errors import UserError
from rejoinder.retrieval.segments import TEXTS, VECTORS, Segment, SegmentWriter

DESCRIPTION = "index.json"
FORMAT_VERSION = 1
# Bytes of the stored vectors of one segment; building one takes a third more memory.
SEGMENT_BYTES = 512 << 20
_BYTES_PER_NUMBER = 2
DEFAULT_EFFORT = 256
# Equal texts are one answer ("Thanks!" is frequent), so more rows are fetched than shown.
_OVERFETCH = 4


@dataclass(frozen=True)
class Description:
    """`index.json`, which is written last: what an index was built from.

    Attributes:
        model: The model that embedded the texts; queries need the same one.
        source: The indexed folder.
        dimension: Numbers in an embedding.
        segments: Number of rows of each segment.
        columns: The text and the columns stored with it.
        format_version: Version of the index format.
    """

    model: str
    source: str
    dimension: int
    segments: list[int]
    columns: list[str] = field(default_factory=lambda: [TEXT])
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class Answer:
    """A text that was found.

    Attributes:
        score: Cosine similarity with the query.
        text: The text.
        fields: Its other columns by name.
    """

    score: float
    text: str
    fields: dict[str, str]


def build(
    folder: str,
    batches: Iterable[tuple[pa.Table, NDArray[np.floating]]],
    *,
    model: str,
    source: str,
    segment_bytes: int = SEGMENT_BYTES,
) -> Description:
    """Builds an index; one segment at a time is in memory.

    Args:
        folder: A local folder, created if missing; an index in it is replaced.
        batches: Tables with the column `text`, and float embeddings [n, d] of unit length.
        model: The model that made the embeddings.
        source: The folder that the batches come from.
        segment_bytes: Size of the vectors of a segment.

    Returns:
        The description of the index.

    Raises:
        UserError: The folder is not local, or there is no text.
    """
    _require_local(folder)
    storage.make_folder(folder)
    _delete_index(folder)
    limit, segments = 0, list[int]()
    writer: SegmentWriter | None = None
    dimension, columns = 0, [TEXT]
    for texts, embeddings in batches:
        start = 0
        while start < len(embeddings):
            if writer is None:
                dimension, columns = embeddings.shape[1], texts.column_names
                limit = max(1, segment_bytes // (dimension * _BYTES_PER_NUMBER))
                path = segment_path(folder, len(segments))
                writer = SegmentWriter(path, dimension, texts.schema)
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
    path = storage.join(folder, DESCRIPTION)
    storage.write_bytes(path + ".part", json.dumps(asdict(description), indent=2).encode())
    storage.rename(path + ".part", path)
    return description


def read_description(folder: str) -> Description | None:
    """Returns the description of a finished index, None if the folder holds none.

    Raises:
        UserError: The folder is not local, or the index has another format.
    """
    _require_local(folder)
    path = storage.join(folder, DESCRIPTION)
    if not storage.exists(path):
        return None
    try:
        values: dict[str, Any] = json.loads(storage.read_bytes(path))
        if values.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"format_version is {values.get('format_version')!r}")
        return Description(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be used ({error}); build the index again") from error


def segment_path(folder: str, number: int) -> str:
    """Returns the path of a segment's files without their extensions."""
    return storage.join(folder, f"segment-{number:05d}")


class SearchIndex:
    """A finished index, opened for queries.

        index = SearchIndex("embedded.index")
        encoder = Encoder.load(index.description.model)
        (answers,) = index.search(encoder.encode(["a query"]), k=5)

    Attributes:
        description: What the index was built from.
        segments: The memory-mapped segments.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        """Opens an index.

        Args:
            folder: A local folder written by `rejoinder search` or `build`.

        Raises:
            UserError: The folder holds no finished index, or a file is damaged.
        """
        folder = os.fspath(folder)
        description = read_description(folder)
        if description is None:
            raise UserError(f"{folder}: holds no index; build one with `rejoinder search --corpus`")
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
        """Finds the nearest texts of each query; equal texts are one answer.

        Args:
            queries: Embeddings [q, d] or [d] of unit length.
            k: Maximum number of answers for each query.
            effort: Candidates to visit in the graph; more improve recall and take longer.
            exact: Compare with every text instead.

        Returns:
            The answers for each query, best first.

        Raises:
            UserError: The queries have another dimension than the index.
        """
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
        """Returns up to `k` (cosine, segment, row) for each query, best first; see `search`."""
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


def _require_local(folder: str) -> None:
    if not storage.is_local(folder):
        raise UserError(
            f"{folder}: an index is memory-mapped, so its folder must be local; "
            "copy it to this machine, or give a local --index"
        )


def _delete_index(folder: str) -> None:
    # The description first: without it, what is left of a killed run is not an index.
    storage.delete([storage.join(folder, DESCRIPTION)])
    paths = glob.glob(os.path.join(glob.escape(folder), "segment-*"))
    storage.delete([path for path in paths if path.endswith((VECTORS, TEXTS))])
