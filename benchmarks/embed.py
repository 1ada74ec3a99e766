"""Compares the Beam embedding job with the encoder alone on the same texts.

    python benchmarks/embed.py --input RC_2015.zst --model MODEL [--limit 20000]

Prints the texts per second of each, with and without model loading, and the largest
difference of the embeddings: the job uses the same encoder, so it should be 0.
"""

import argparse
import glob
import json
import os
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rejoinder.corpus.embeddings import read_embeddings
from rejoinder.retrieval.embed import main as embed


def main() -> None:
    """Prints a line of JSON for each measurement, and one for the difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--field", default="body")
    parser.add_argument("--limit", type=int, default=20_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        options = ["--input", args.input, "--model", args.model, "--output", folder]
        embed([*options, "--field", args.field, "--limit", str(args.limit)])
        job_seconds = time.perf_counter() - start
        shards = [pq.read_table(path) for path in sorted(glob.glob(f"{folder}/*.parquet"))]
    texts = pa.concat_tables(shards)["text"].to_pylist()
    of_job = np.concatenate([read_embeddings(shard) for shard in shards])

    from rejoinder.models.encoder import Encoder

    start = time.perf_counter()
    encoder = Encoder.load(args.model)
    encoder.encode(["once, to compile"])
    loading = time.perf_counter() - start
    start = time.perf_counter()
    alone = encoder.encode(texts)
    seconds = time.perf_counter() - start
    cores = len(os.sched_getaffinity(0))
    for name, took in (
        ("encoder alone", seconds),
        ("encoder alone, with loading", seconds + loading),
        ("rejoinder embed, with loading", job_seconds),
    ):
        rate = len(texts) / took
        _print(way=name, texts=len(texts), per_second=round(rate), per_core=round(rate / cores))
    _print(largest_difference=float(np.abs(alone - of_job).max()))


def _print(**values: object) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
