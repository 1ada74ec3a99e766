"""Searches an index of any size by memory-mapping its segments."""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.corpus.embeddings import TEXT
from rejoinder.errors import UserError
from rejoinder.retrieval.index_files import read_description, segment_path
from rejoinder.retrieval.segments import Segment

DEFAULT_EFFORT = 256
# Equal texts are one answer ("Thanks!" is frequent), so more rows are fetched than shown.
_OVERFETCH = 4


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
            folder: A local folder written by `rejoinder search`.

        Raises:
            UserError: The folder holds no finished index, or a file is damaged.
        """
        folder = os.fspath(folder)
        description = read_description(folder)
        if description is None:
            raise UserError(f"{folder}: holds no index; build one with `rejoinder search --corpus`")
        self.description = description
        self.segments = [
            Segment(segment_path(folder, number), description.dimension, description.dtype)
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

    def vectors(self, first: int, count: int) -> NDArray[np.float32]:
        """Returns the embeddings of consecutive rows.

        Args:
            first: Number of the first row in the order in which the index was built.
            count: Number of rows.

        Returns:
            float32 [count, d], rounded to the precision of the index.
        """
        parts = []
        for segment in self.segments:
            start, stop = max(first, 0), min(first + count, segment.rows)
            if start < stop:
                parts.append(segment.vectors(np.arange(start, stop)))
            first -= segment.rows
        return np.concatenate(parts)

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
