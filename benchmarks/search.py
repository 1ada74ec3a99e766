"""Measures search: time and memory of building, latency, and recall against exact search.

    python -m benchmarks.search --corpus EMBEDDED [--queries 500] [--dtype f16 i8 b1]

EMBEDDED is a folder written by `rejoinder embed --dtype float32`. The queries are random texts
of it with noise added to their embeddings, so each has near neighbours but is not in the index.
The peer is exact search by one matrix product with NumPy in single precision, also of the
embeddings that `--dtype int8` and `binary` store. Each index is measured in a process of its own.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable

import numpy as np

from rejoinder.corpus.embeddings import read_batches
from rejoinder.models.quantize import quantize
from rejoinder.models.similarity import scale_to_unit_length
from rejoinder.retrieval.index import SearchIndex
from rejoinder.retrieval.index_builder import build
from rejoinder.retrieval.index_files import DTYPES

_SETTINGS = (16, 64, 128, 256, 512, 2048)
_K = 10


def main() -> None:
    """Prints lines of JSON: exact search, and for each index its build and each effort."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True, help="written by `rejoinder embed`")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument(
        "--noise", type=float, default=0.3, help="length of the noise added to a query"
    )
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    args = parser.parse_args()
    runs = [(_measure_exact, args), *((_measure_index, args, dtype) for dtype in args.dtype)]
    spawn = multiprocessing.get_context("spawn")
    for function, *arguments in runs:
        child = spawn.Process(target=function, args=arguments)
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(child.exitcode)


def _measure_exact(args: argparse.Namespace) -> None:
    vectors, queries = _read(args)
    stored: dict[str, Callable[[], np.ndarray]] = {
        "float32": lambda: vectors,
        "int8": lambda: scale_to_unit_length(quantize(vectors, "int8").astype(np.float32)),
        "binary": lambda: np.where(vectors > 0, np.float32(1), np.float32(-1)),
    }
    least = _tenth_best(vectors, queries)
    for name, values in stored.items():
        rows = values()
        start = time.perf_counter()
        found = [np.argpartition(rows @ query, -_K)[-_K:] for query in queries]
        _print(
            step=f"exact, NumPy, embeddings {name}",
            milliseconds=_milliseconds(start, queries),
            recall_at_10=_recall(vectors, queries, found, least),
        )


def _measure_index(args: argparse.Namespace, dtype: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        start, before = time.perf_counter(), _peak_mib()
        batches = read_batches(args.corpus)
        built = build(folder, batches, model="-", source=args.corpus, dtype=dtype)
        seconds, rows = time.perf_counter() - start, sum(built.segments)
        sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)}
        graphs = sum(size for name, size in sizes.items() if name.endswith(".usearch"))
        _print(
            step=f"build {dtype}",
            texts=rows,
            dimension=built.dimension,
            seconds=round(seconds, 1),
            texts_per_second=round(rows / seconds),
            peak_memory_mib=round(_peak_mib() - before),
            graph_mib=round(graphs / 2**20),
            index_mib=round(sum(sizes.values()) / 2**20),
        )
        vectors, queries = _read(args)
        least = _tenth_best(vectors, queries)
        opened = SearchIndex(folder)
        starts = np.cumsum([0, *built.segments])
        opened.rows(queries, _K)  # reads the files once, so that the disk is not measured
        for effort in _SETTINGS:
            start = time.perf_counter()
            found = [opened.rows(query, _K, effort=effort)[0] for query in queries]
            _print(
                step=f"index {dtype}, effort {effort}",
                milliseconds=_milliseconds(start, queries),
                recall_at_10=_recall(
                    vectors,
                    queries,
                    [[starts[part] + row for _, part, row in rows] for rows in found],
                    least,
                ),
            )


def _read(args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Returns all embeddings and the queries."""
    vectors = np.concatenate([part for _, part in read_batches(args.corpus)])
    rng = np.random.default_rng(0)
    chosen = vectors[rng.choice(len(vectors), args.queries, replace=False)]
    moved = rng.normal(size=chosen.shape).astype(np.float32)
    chosen = chosen + args.noise * moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return vectors, chosen / np.linalg.norm(chosen, axis=1, keepdims=True)


def _tenth_best(vectors: np.ndarray, queries: np.ndarray) -> list[float]:
    # With a tolerance, because one product and many add in different orders.
    return [np.partition(vectors @ query, -_K)[-_K] - 1e-6 for query in queries]


def _recall(
    vectors: np.ndarray, queries: np.ndarray, found: Iterable[np.ndarray], least: list[float]
) -> float:
    # Equal texts have equal scores, so each of them is a correct result.
    hits = [
        np.mean(vectors[rows] @ query >= score)
        for query, rows, score in zip(queries, found, least, strict=True)
    ]
    return round(float(np.mean(hits)), 4)


def _milliseconds(start: float, queries: np.ndarray) -> float:
    return round(1000 * (time.perf_counter() - start) / len(queries), 2)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _print(**values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
