"""One part of an index: a graph of vectors (usearch) and an Arrow file of their texts.

Both files are written once and then memory-mapped. So an index larger than the memory
can be searched, and only the segment that is being built is in memory as a whole.
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
from rejoinder.retrieval.index_files import TEXTS, VECTORS

# Half precision takes half the memory and changes cosines by less than 1e-3.
_DTYPE = "f16"
_CONNECTIVITY = 16
_EXPANSION_ADD = 128


class SegmentWriter:
    """Collects rows and writes them to `path` + `.usearch` and `path` + `.arrow`."""

    def __init__(self, path: str, dimension: int, schema: pa.Schema):
        self.rows = 0
        self._path = path
        self._graph = _new_graph(dimension)
        self._file = pa.OSFile(path + TEXTS, "wb")
        self._texts = pa.ipc.new_file(self._file, schema)

    def add(self, texts: pa.Table, embeddings: NDArray[np.floating]) -> None:
        """Adds rows: `texts` [n] and float `embeddings` [n, d] of unit length."""
        keys = np.arange(self.rows, self.rows + len(embeddings), dtype=np.uint64)
        # One thread: with several, the graph depends on their timing.
        self._graph.add(keys, np.ascontiguousarray(embeddings), threads=1)
        self._texts.write_table(texts)
        self.rows += len(embeddings)

    def close(self) -> None:
        """Writes the graph and closes the file of texts."""
        self._graph.save(self._path + VECTORS)
        self._texts.close()
        self._file.close()


class Segment:
    """A finished segment, memory-mapped.

    Attributes:
        rows: Number of texts.
    """

    def __init__(self, path: str, dimension: int):
        """Opens a segment.

        Args:
            path: Path of its files without their extensions.
            dimension: Numbers in an embedding.

        Raises:
            UserError: A file is missing or damaged.
        """
        from usearch.index import Index

        for extension in (VECTORS, TEXTS):
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
        found_rows = []
        for query in np.atleast_2d(queries):
            found = self._graph.search(query, min(k, self.rows), exact=exact)
            scores = (1 - found.distances).tolist()
            found_rows.append(list(zip(scores, found.keys.tolist(), strict=True)))
        return found_rows

    def row(self, number: int) -> dict[str, str]:
        """Returns the text and the other columns of one row."""
        batch = bisect.bisect_right(self._ends, number)
        start = self._ends[batch - 1] if batch else 0
        (columns,) = self._texts.get_batch(batch).slice(number - start, 1).to_pylist()
        return dict(columns)

    def vectors(self, rows: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the embeddings of n rows, float32 [n, d] rounded to half precision."""
        return np.asarray(self._graph.get(np.asarray(rows, np.uint64), dtype=np.float32))


def _new_graph(dimension: int) -> Any:
    from usearch.index import Index

    # Embeddings have unit length, so their inner product is the cosine.
    return Index(
        ndim=dimension,
        metric="ip",
        dtype=_DTYPE,
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION_ADD,
    )
