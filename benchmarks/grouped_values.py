"""Measures the largest value of any key in the job's shuffles, by number of buckets.

    make bench BENCH=grouped_values ARGS='--tokenizer FOLDER --buckets 64 1024 12000'

Engines hold all values of a key in memory, some of them in one record. The job's graph for
clusters runs in memory, with an extractor that makes buckets without reading anything: each
has one row, some pairs, and statistics as large as those of a bucket of 200,000 comments.
Printed is the size of the largest group of each GroupByKey, and the peak memory of processes
that do nothing but handle the largest group of results.
"""

import argparse
import json
import multiprocessing
import pickle
import resource
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import polars as pl

from rejoinder.corpus.naming import SPLITS
from rejoinder.pipelines.dumps.chunks import Chunk, FileSummary
from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.job import execution, graph, runners, tokenizer_files
from rejoinder.pipelines.job.steps import finish
from rejoinder.pipelines.job.steps.spec import REPORT, JobSpec
from rejoinder.pipelines.publish import publish
from rejoinder.pipelines.publish.publish import Publication
from rejoinder.pipelines.shards.bucket import Bucket
from rejoinder.pipelines.shards.encode import ShardData
from rejoinder.pipelines.shards.statistics import PairStatistics
from rejoinder.pipelines.shuffle import duplicates
from rejoinder.tables import markdown_table
from rejoinder.units import format_bytes

_SUBREDDITS = 1_000_000  # of all of Reddit
_RESULTS = ("GroupResults", "GroupResults1", "GroupResults2")


class MadeBuckets:
    """A `rejoinder.pipelines.job.extractor.Extractor` without input."""

    duplicates_cross_buckets = True

    def __init__(self, buckets: int, pairs: int) -> None:
        self._buckets, self._pairs = buckets, pairs

    def read_chunks(self, path: str, summary: FileSummary, **options: Any) -> Iterator[Chunk]:
        """Yields one chunk with a line for each bucket."""
        summary.lines, summary.sha256 = self._buckets, ""
        yield Chunk(b"\n" * self._buckets, 1, self._buckets)

    def read(self, path: str, chunk: Chunk, notes: Any) -> tuple[pl.DataFrame, list, dict]:
        """Returns one row for each bucket."""
        return pl.DataFrame({"row": range(chunk.lines)}), [], {}

    def to_buckets(self, rows: pl.DataFrame, num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """Yields each bucket's row."""
        yield from ((bucket, str(bucket).encode()) for bucket in range(num_buckets))

    def pair_keys(self, blobs: Sequence[bytes]) -> pl.DataFrame:
        """Returns the keys of pairs, one in ten of which occurs in one other bucket."""
        bucket = int(blobs[0])
        homes = (f"two {bucket // 2}", *[str(bucket)] * 9)
        texts = pl.Series([f"{homes[n % 10]} {n}" for n in range(self._pairs)])
        ids = pl.Series([f"{bucket:05d}{n:05d}" for n in range(self._pairs)])
        return duplicates.pair_keys(texts, texts, pl.DataFrame({"thread": ids, "id": ids}))

    def process(self, blobs: Sequence[bytes], tokenize: Any, dropped: Sequence[bytes]) -> Bucket:
        """Returns a bucket with small shards and large statistics."""
        choose = np.random.default_rng(int(blobs[0]))
        lengths = Counter({str(n): int(choose.integers(2_000)) for n in range(9, 128)})
        # The number of pairs is in inverse proportion to the rank of the subreddit.
        ranks = (_SUBREDDITS ** choose.random(60_000)).astype(np.int64)
        names, counts = np.unique(ranks, return_counts=True)
        order = np.argsort(-counts)
        top = zip(names[order][:2_000].tolist(), counts[order][:2_000].tolist(), strict=True)
        subreddits = Counter({f"subreddit{rank:x}": count for rank, count in top})
        subreddits["(others)"] = int(counts[order][2_000:].sum())
        months = Counter({f"{2005 + n // 12}-{n % 12 + 1:02d}": n for n in range(180)})
        sizes = Counter({str(1 << n): n for n in range(16)})
        statistics = PairStatistics(*[lengths] * 4, subreddits, months, sizes)
        shards = {split: ShardData(b"12345678", 1) for split in SPLITS}
        return Bucket(shards, {"pair/train": 1}, statistics)


class Measure(beam.DoFn):
    """Passes groups on, and notes their sizes; the largest group of results is kept."""

    def __init__(self, label: str, folder: str) -> None:
        self._label, self._folder = label, folder

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, list[bytes]]]:
        """Notes one group."""
        key, values = group[0], list(group[1])
        size = sum(map(len, values))
        path = Path(self._folder, f"{self._label}.pickle")
        largest = path.with_suffix(".size")
        if not largest.exists() or size > int(largest.read_text()):
            largest.write_text(str(size))
            kept = (key, values if self._label in _RESULTS else len(values), size)
            path.write_bytes(pickle.dumps(kept))
        yield key, values


def run(buckets: int, pairs: int, tokenizer: str, folder: str) -> None:
    """Runs the job, and writes the largest group of each GroupByKey to a folder."""
    real = beam.GroupByKey

    class MeasuredGroups(beam.PTransform):
        """GroupByKey with `Measure` behind it."""

        def expand(self, collection: beam.PCollection) -> beam.PCollection:
            return collection | real() | beam.ParDo(Measure(self.label, folder))

    spec = make_spec(buckets, pairs, f"{folder}/staging")
    Path(spec.staging).mkdir()
    publication = make_publication(tokenizer, f"{folder}/out")
    beam.GroupByKey = MeasuredGroups
    publish.publish = _publish_nothing
    try:
        execution.run_pipeline(
            runners.choose("", 1, []),
            lambda pipeline: graph.build(pipeline, spec, [Part("made", 1)], publication),
        )
    finally:
        beam.GroupByKey = real


def _publish_nothing(*arguments: Any, **options: Any) -> None:
    """Leaves the staged files where the measurement of memory finds them."""


def make_spec(buckets: int, pairs: int, staging: str) -> JobSpec:
    """Returns the specification of the job."""
    extractor = MadeBuckets(buckets, pairs)
    return JobSpec(extractor, buckets, 128, 0, pairs > 0, staging, False, False, 1.0, False, None)


def make_publication(tokenizer: str, output: str) -> Publication:
    """Returns the metadata of the corpus."""
    files = tokenizer_files.read_files(tokenizer)
    return Publication(output, "made", False, 128, "", 1, 30_527, [], [], tokenizer_files=files)


def handle(path: str, buckets: int, tokenizer: str) -> tuple[float, float]:
    """Handles a group of results as the job does; returns peak MB before and after."""
    key, values, _ = pickle.loads(Path(path).read_bytes())
    spec = make_spec(buckets, 0, str(Path(path).parent))
    publication = make_publication(tokenizer, "")
    publish.publish = _publish_nothing
    tokenizer_files.load(publication.tokenizer_files)  # imports TensorFlow
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if Path(path).stem == _RESULTS[0]:
        finish.Publish(spec, publication).process((key, values))
    else:
        from rejoinder.pipelines.job.steps import results

        list(results.MergeResults(spec).process((key, values)))
    return before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", required=True, help="Hugging Face tokenizer folder")
    parser.add_argument("--buckets", type=int, nargs="+", default=[64, 1_024], metavar="N")
    parser.add_argument(
        "--pairs", type=int, default=0, help="digested pairs of a bucket; 0 keeps duplicates"
    )
    arguments = parser.parse_args()
    rows = []
    for buckets in arguments.buckets:
        with tempfile.TemporaryDirectory() as folder:
            context = multiprocessing.get_context("spawn")
            with context.Pool(1) as pool:
                pool.apply(run, (buckets, arguments.pairs, arguments.tokenizer, folder))
            for path in sorted(Path(folder).glob("*.pickle")):
                key, values, size = pickle.loads(path.read_bytes())
                count = len(values) if path.stem in _RESULTS else values
                memory = ""
                if path.stem in _RESULTS and key != REPORT:
                    with context.Pool(1) as pool:
                        measured = pool.apply(handle, (str(path), buckets, arguments.tokenizer))
                    memory = " to ".join(f"{peak:,.0f}" for peak in measured)
                rows.append([f"{buckets:,}", path.stem, f"{count:,}", format_bytes(size), memory])
                print(json.dumps(rows[-1]), flush=True)
    header = ["buckets", "GroupByKey", "values of the largest key", "their size", "peak MB"]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
