"""One part of an index: a graph of vectors (usearch) and an Arrow file of their texts.

Both are written once and then only mapped into memory, so that an index larger than
the memory can be searched and only one segment is ever held whole, while it is built.
"""

import bisect
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rejoinder.errors import UserError

VECTORS, TEXTS = ".usearch", ".arrow"
# Half precision: half the memory, and it changes cosines by less than 1e-3.
_DTYPE = "f16"
_CONNECTIVITY = 16
_EXPANSION_ADD = 128


def _new_graph(dimension: int) -> Any:
    from usearch.index import Index

    # Embeddings have unit length, so that their inner product is the cosine.
    return Index(
        ndim=dimension,
        metric="ip",
        dtype=_DTYPE,
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION_ADD,
    )


class SegmentWriter:
    """Collects rows and writes them as `path` + `.usearch` and `.arrow`."""

    def __init__(self, path: str, dimension: int, schema: pa.Schema):
        self.rows = 0
        self._path = path
        self._graph = _new_graph(dimension)
        self._file = pa.OSFile(path + TEXTS, "wb")
        self._texts = pa.ipc.new_file(self._file, schema)

    def add(self, texts: pa.Table, embeddings: NDArray[np.floating]) -> None:
        """Adds rows: `texts` [n] and float `embeddings` [n, d] of unit length."""
        keys = np.arange(self.rows, self.rows + len(embeddings), dtype=np.uint64)
        # One thread: with several, the graph depends on which of them comes first.
        self._graph.add(keys, np.ascontiguousarray(embeddings), threads=1)
        self._texts.write_table(texts)
        self.rows += len(embeddings)

    def close(self) -> None:
        """Writes what is left."""
        self._graph.save(self._path + VECTORS)
        self._texts.close()
        self._file.close()


class Segment:
    """A finished segment, mapped into memory.

    Raises:
        UserError: one of its files is missing or damaged.
    """

    def __init__(self, path: str, dimension: int):
        from usearch.index import Index

        for ending in (VECTORS, TEXTS):
            if not os.path.exists(path + ending):
                raise UserError(f"{path + ending}: is missing; build the index again")
        try:
            graph = Index.restore(path + VECTORS, view=True)
            self._texts = pa.ipc.open_file(pa.memory_map(path + TEXTS))
        except (RuntimeError, ValueError, pa.ArrowInvalid) as error:
            raise UserError(f"{path}: is damaged ({error}); build the index again") from error
        if graph is None or graph.ndim != dimension:
            raise UserError(f"{path + VECTORS}: is damaged; build the index again")
        self._graph: Any = graph  # its stubs know neither its setters nor NumPy's dtypes
        sizes = (self._texts.get_batch(i).num_rows for i in range(self._texts.num_record_batches))
        self._ends = list(itertools.accumulate(sizes))
        self.rows = self._ends[-1] if self._ends else 0

    def search(
        self, queries: NDArray[np.floating], k: int, *, effort: int, exact: bool
    ) -> list[list[tuple[float, int]]]:
        """Returns up to `k` (cosine, row) for each of `queries` [q, d], best first.

        Args:
            queries: Of unit length.
            k: Answers for each.
            effort: Candidates that are followed through the graph; more find more.
            exact: Compare with every row instead.
        """
        self._graph.expansion_search = max(effort, k)
        answers = []
        for query in np.atleast_2d(queries):
            found = self._graph.search(query, min(k, self.rows), exact=exact)
            scores = (1 - found.distances).tolist()
            answers.append(list(zip(scores, found.keys.tolist(), strict=True)))
        return answers

    def row(self, number: int) -> dict[str, str]:
        """Returns the text and the other columns of one row."""
        batch = bisect.bisect_right(self._ends, number)
        start = self._ends[batch - 1] if batch else 0
        return self._texts.get_batch(batch).slice(number - start, 1).to_pylist()[0]

    def vectors(self, rows: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the embeddings [n, d] of some rows, as stored."""
        return self._graph.get(np.asarray(rows, np.uint64), dtype=np.float32)
