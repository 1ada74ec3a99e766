"""One part of an index: a graph of vectors (usearch) and an Arrow file of their texts.

A graph of int8 or of sign bits gives candidates, which are then scored with their int8
vectors and the query's float numbers. All files are written once and then memory-mapped. So
an index larger than the memory can be searched, and only the segment that is being built is
in memory as a whole.
"""

import bisect
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.quantize import int8_step, quantize
from rejoinder.models.similarity import scale_to_unit_length
from rejoinder.retrieval.dtypes import B1, F16, I8
from rejoinder.retrieval.index_files import (
    RESCORING,
    TEXTS,
    VECTORS,
    segment_endings,
)

# Embeddings have unit length, so their inner product is the cosine. Half precision changes
# it by less than 1e-3; int8 vectors are rounded, and no longer of one length.
_METRICS = {F16: "ip", I8: "cos", B1: "hamming"}
_CONNECTIVITY = 16
_EXPANSION_ADD = 128
_EXACT_ROWS = 1 << 14  # scored at once


class SegmentWriter:
    """Collects rows and writes them to `path` + the endings of a segment's files."""

    def __init__(self, path: str, dimension: int, schema: pa.Schema, dtype: str):
        self.rows = 0
        self._path = path
        self._dtype = dtype
        self._graph = _new_graph(dimension, dtype)
        self._file = pa.OSFile(path + TEXTS, "wb")
        self._texts = pa.ipc.new_file(self._file, schema)
        self._int8 = pa.OSFile(path + RESCORING, "wb") if dtype == B1 else None

    def add(self, texts: pa.Table, embeddings: NDArray[np.floating]) -> None:
        """Adds rows: `texts` [n] and float `embeddings` [n, d] of unit length."""
        keys = np.arange(self.rows, self.rows + len(embeddings), dtype=np.uint64)
        # One thread: with several, the graph depends on their timing.
        self._graph.add(keys, _graph_vectors(embeddings, self._dtype), threads=1)
        if self._int8 is not None:
            self._int8.write(quantize(embeddings, "int8").tobytes())
        self._texts.write_table(texts)
        self.rows += len(embeddings)

    def close(self) -> None:
        """Writes the graph and closes the other files."""
        self._graph.save(self._path + VECTORS)
        self._texts.close()
        self._file.close()
        if self._int8 is not None:
            self._int8.close()


class Segment:
    """A finished segment, memory-mapped.

    Attributes:
        rows: Number of texts.
    """

    def __init__(self, path: str, dimension: int, dtype: str):
        """Opens a segment.

        Args:
            path: Path of its files without their extensions.
            dimension: Numbers in an embedding.
            dtype: Type of the graph's numbers.

        Raises:
            UserError: A file is missing or damaged.
        """
        from usearch.index import Index

        for extension in segment_endings(dtype):
            if not storage.exists(path + extension):
                raise UserError(f"{path + extension}: is missing; build the index again")
        try:
            graph = Index.restore(path + VECTORS, view=True)
            self._texts = pa.ipc.open_file(pa.memory_map(path + TEXTS))
        except (RuntimeError, ValueError, pa.ArrowInvalid) as error:
            raise UserError(f"{path}: is damaged ({error}); build the index again") from error
        if graph is None or graph.ndim != dimension:
            raise UserError(f"{path + VECTORS}: is damaged; build the index again")
        self._graph: Any = graph  # its stubs lack its setters and NumPy's dtypes
        sizes = (self._texts.get_batch(i).num_rows for i in range(self._texts.num_record_batches))
        self._ends = list(itertools.accumulate(sizes))
        self.rows = self._ends[-1] if self._ends else 0
        self._dtype = dtype
        self._int8 = None
        if dtype == B1:
            if storage.size(path + RESCORING) != self.rows * dimension:
                raise UserError(f"{path + RESCORING}: is damaged; build the index again")
            self._int8 = np.memmap(path + RESCORING, np.int8, "r", shape=(self.rows, dimension))

    def search(
        self, queries: NDArray[np.floating], k: int, *, effort: int, exact: bool
    ) -> list[list[tuple[float, int]]]:
        """Finds the nearest rows of each query.

        Args:
            queries: Embeddings [q, d] of unit length.
            k: Maximum number of rows for each query.
            effort: Candidates to visit in the graph; more improve recall and take longer.
            exact: Compare with every row instead.

        Returns:
            Up to `k` (cosine, row) for each query, best first.
        """
        self._graph.expansion_search = max(effort, k)
        return [self._nearest(query, k, effort, exact) for query in np.atleast_2d(queries)]

    def _nearest(
        self, query: NDArray[np.floating], k: int, effort: int, exact: bool
    ) -> list[tuple[float, int]]:
        if exact and self._dtype == B1:
            return self._best(self._all_scores(query), np.arange(self.rows), k)
        # The search holds `effort` candidates anyway.
        count = k if self._dtype == F16 else max(effort, k)
        found = self._graph.search(
            _graph_vectors(query, self._dtype), min(count, self.rows), exact=exact
        )
        if self._dtype == F16:
            return list(zip((1 - found.distances).tolist(), found.keys.tolist(), strict=True))
        return self._best(self.vectors(found.keys) @ query, found.keys, k)

    def _all_scores(self, query: NDArray[np.floating]) -> NDArray[np.floating]:
        starts = range(0, self.rows, _EXACT_ROWS)
        blocks = (np.arange(start, min(start + _EXACT_ROWS, self.rows)) for start in starts)
        return np.concatenate([self.vectors(rows) @ query for rows in blocks])

    @staticmethod
    def _best(
        scores: NDArray[np.floating], rows: NDArray[np.integer], k: int
    ) -> list[tuple[float, int]]:
        # Stable, so that equal scores have one order.
        order = np.argsort(-scores, kind="stable")[:k]
        return list(zip(scores[order].tolist(), rows[order].tolist(), strict=True))

    def row(self, number: int) -> dict[str, str]:
        """Returns the text and the other columns of one row."""
        batch = bisect.bisect_right(self._ends, number)
        start = self._ends[batch - 1] if batch else 0
        (columns,) = self._texts.get_batch(batch).slice(number - start, 1).to_pylist()
        return dict(columns)

    def vectors(self, rows: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the embeddings of n rows, float32 [n, d], rounded to half precision or int8."""
        keys = np.asarray(rows, np.uint64)
        if self._dtype == F16:
            return np.asarray(self._graph.get(keys, dtype=np.float32))
        int8 = self._graph.get(keys, dtype=np.int8) if self._int8 is None else self._int8[keys]
        return scale_to_unit_length(np.asarray(int8, np.float32))

    def stored(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns numbers from which `SegmentWriter` stores what this segment has of n rows.

        Args:
            rows: int [n].

        Returns:
            float32 [n, d], of about unit length.
        """
        keys, step = np.asarray(rows, np.uint64), int8_step(self._graph.ndim)
        if self._dtype == F16:
            return np.asarray(self._graph.get(keys, dtype=np.float32))
        if self._int8 is None:
            return np.asarray(self._graph.get(keys, dtype=np.int8), np.float32) * step
        levels = np.asarray(self._int8[rows], np.float32)
        bits = np.unpackbits(np.asarray(self._graph.get(keys)).view(np.uint8), axis=-1)
        # A positive number that is rounded to 0 has the bit of a positive one.
        return np.where((levels == 0) & (bits == 1), np.float32(0.25), levels) * step


def _graph_vectors(embeddings: NDArray[np.floating], dtype: str) -> NDArray[Any]:
    """Returns embeddings [n, d] or [d] of unit length in the numbers of a graph."""
    if dtype == F16:
        return np.ascontiguousarray(embeddings)  # usearch rounds them
    return quantize(embeddings, "int8" if dtype == I8 else "ubinary")


def _new_graph(dimension: int, dtype: str) -> Any:
    from usearch.index import Index

    return Index(
        ndim=dimension,
        metric=_METRICS[dtype],
        dtype=dtype,
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION_ADD,
    )
