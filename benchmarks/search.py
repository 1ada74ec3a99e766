"""Measures search: time and memory of building, latency, and recall against exact search.

    python -m benchmarks.search --corpus EMBEDDED [--queries 500]

EMBEDDED is a folder written by `rejoinder embed`. The queries are random texts of it with
noise added to their embeddings, so each has near neighbours but is not in the index. The
peer is exact search by one matrix product with NumPy in single precision.
"""

import argparse
import json
import os
import resource
import tempfile
import time

import numpy as np

from rejoinder.corpus.embeddings import read_batches
from rejoinder.retrieval.index import SearchIndex
from rejoinder.retrieval.index_builder import build

_SETTINGS = (16, 64, 128, 256)
_K = 10


def main() -> None:
    """Prints one line of JSON for the build, one for exact search and one for each effort."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="written by `rejoinder embed`")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument(
        "--noise", type=float, default=0.3, help="length of the noise added to a query"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.perf_counter(), _peak_mib()
        built = build(folder, read_batches(args.corpus), model="-", source=args.corpus)
        seconds, rows = time.perf_counter() - start, sum(built.segments)
        size = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
        _print(
            step="build",
            texts=rows,
            dimension=built.dimension,
            seconds=round(seconds, 1),
            texts_per_second=round(rows / seconds),
            peak_memory_mib=round(_peak_mib() - before),
            index_mib=round(size / 2**20),
        )
        vectors = np.concatenate([v for _, v in read_batches(args.corpus)])
        queries = _queries(vectors, args.queries, args.noise)
        opened = SearchIndex(folder)
        start = time.perf_counter()
        tenth_best = [_tenth_best(vectors, query) for query in queries]
        _print(step="exact, NumPy", milliseconds=_milliseconds(start, queries), recall_at_10=1.0)
        for effort in _SETTINGS:
            start = time.perf_counter()
            found = [opened.rows(query, _K, effort=effort)[0] for query in queries]
            milliseconds = _milliseconds(start, queries)
            starts = np.cumsum([0, *built.segments])
            # Equal texts have equal scores, so each of them is a correct result.
            hits = [
                np.mean(vectors[[starts[part] + row for _, part, row in rows]] @ query >= least)
                for query, rows, least in zip(queries, found, tenth_best, strict=True)
            ]
            _print(
                step=f"index, effort {effort}",
                milliseconds=milliseconds,
                recall_at_10=round(float(np.mean(hits)), 4),
            )


def _queries(vectors: np.ndarray, count: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    chosen = vectors[rng.choice(len(vectors), count, replace=False)]
    moved = rng.normal(size=chosen.shape).astype(np.float32)
    chosen = chosen + noise * moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return chosen / np.linalg.norm(chosen, axis=1, keepdims=True)


def _tenth_best(vectors: np.ndarray, query: np.ndarray) -> float:
    # With a tolerance, because one product and many add in different orders.
    return np.partition(vectors @ query, -_K)[-_K] - 1e-6


def _milliseconds(start: float, queries: np.ndarray) -> float:
    return round(1000 * (time.perf_counter() - start) / len(queries), 2)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _print(**values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
