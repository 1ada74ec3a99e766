"""The Beam job: read, one shuffle by bucket, write, publish.

    parts of files ─ ReadDump ─▶ (bucket, Arrow blob) ─ GroupByKey ─▶ WriteBucket
                        └──────▶ (REPORT, JSON) ──────────┘              │ (0, JSON)
                                                       GroupByKey ─ Publish ◀┘

Reports travel under a key of their own instead of a tagged output, because not
every runner keeps tagged outputs apart. With `drop_duplicates`, two more stages
before WriteBucket find equal pairs by their digests (`pipelines.duplicates`).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from corpus.errors import UserError
from corpus.naming import REJECTS_FOLDER
from pipelines import publish, spill
from pipelines.inputs import Part
from pipelines.progress import Progress
from pipelines.sources import Source
from pipelines.statistics import PairStatistics

# The shuffle key of the readers' reports; buckets count from 0.
REPORT = -1
# Rows collected before they are partitioned: large enough that a blob is worth its overhead.
_FLUSH_BYTES = 64 << 20
# First byte of a value that reaches WriteBucket in a job that drops duplicates.
_ROWS, _DUPLICATES = b"r", b"d"

TokenizerFiles = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class JobSpec:
    """Everything that the workers need to know.

    Attributes:
        source: What is extracted, and how.
        num_buckets: Buckets of the shuffle, shards of each split.
        max_length: Most token ids per side.
        limit: Lines read of each file; 0 reads all.
        drop_duplicates: Whether equal pairs are kept once in the whole corpus.
        staging: Folder that is written to before publication.
        spill_folder: Local folder for the shuffle's data, None leaves them to the runner.
        keep_damaged: Take what a damaged archive still gives.
        max_bad_ratio: Largest share of lines that may be rejected.
    """

    source: Source
    num_buckets: int
    max_length: int
    limit: int
    drop_duplicates: bool
    staging: str
    spill_folder: str | None
    keep_damaged: bool
    max_bad_ratio: float


def build(
    pipeline: beam.Pipeline, spec: JobSpec, parts: list[Part], publication: publish.Publication
) -> None:
    """Adds the job to a pipeline.

    Args:
        pipeline: An empty pipeline.
        spec: What to make.
        parts: What to read.
        publication: What is known of the corpus before it is made.
    """
    keyed = tuple[int, bytes]
    grouped = (
        pipeline
        | "Parts" >> beam.Create(parts, reshuffle=False)
        | "Distribute" >> beam.Reshuffle()
        | "ReadDump" >> beam.ParDo(ReadDump(spec)).with_output_types(keyed)
        | "GroupByBucket" >> beam.GroupByKey()
    )
    if spec.drop_duplicates:
        grouped = (
            grouped
            | "DigestPairs" >> beam.ParDo(DigestPairs(spec)).with_output_types(keyed)
            | "GroupByDigest" >> beam.GroupByKey()
            | "FindDuplicates" >> beam.ParDo(FindDuplicates(spec)).with_output_types(keyed)
            | "GroupAgain" >> beam.GroupByKey()
        )
    _ = (
        grouped
        | "WriteBucket"
        >> beam.ParDo(WriteBucket(spec, publication.tokenizer_files)).with_output_types(keyed)
        | "GroupResults" >> beam.GroupByKey()
        | "Publish" >> beam.ParDo(Publish(spec, publication))
    )


class ReadDump(beam.DoFn):
    """Part of a file -> (bucket, Arrow blob)…, (REPORT, JSON)."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def setup(self) -> None:
        """Prepares what every bundle uses."""
        self._progress = Progress(self._spec.staging)

    def start_bundle(self) -> None:
        """Begins without rows."""
        self._frames: list[Any] = []
        self._bytes = 0

    def process(self, part: Part) -> Iterator[tuple[int, bytes]]:
        """Reads one part."""
        from pipelines.chunks import FileSummary, read_chunks

        summary = FileSummary()
        rejects: list[list[Any]] = []
        counts: Counter[str] = Counter()
        for chunk in read_chunks(
            part.path,
            summary,
            begin=part.begin,
            end=part.end,
            checksum=part.is_last,
            keep_damaged=self._spec.keep_damaged,
            limit=self._spec.limit,
            progress=self._progress.reader(part),
        ):
            rows, bad, ended = self._spec.source.read(part.path, chunk)
            rejects.extend([part.path, r.line, r.reason, r.excerpt] for r in bad)
            counts.update(ended)
            self._frames.append(rows)
            self._bytes += int(rows.estimated_size())
            if self._bytes >= _FLUSH_BYTES:
                yield from self._flush()
        report: dict[str, Any] = {"counts": counts, "rejects": rejects}
        if part.is_last:
            report["input"] = {
                "path": part.path,
                "bytes": summary.stored_bytes,
                "sha256": summary.sha256,
                "lines": summary.lines,
            } | ({"damage": summary.damage} if summary.damage else {})
        yield REPORT, json.dumps(report).encode()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Sends what is left."""
        for value in self._flush():
            yield WindowedValue(value, GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def _flush(self) -> Iterator[tuple[int, bytes]]:
        import polars as pl

        if self._frames:
            rows = pl.concat(self._frames)
            self._frames, self._bytes = [], 0
            blobs = self._spec.source.partition(rows, self._spec.num_buckets)
            folder = self._spec.spill_folder
            yield from blobs if folder is None else spill.write(folder, blobs)


class DigestPairs(beam.DoFn):
    """(bucket, blobs) -> the same blobs and, under keys beyond the buckets, pair digests."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Digests one bucket's pairs."""
        from pipelines import duplicates

        key, values = group
        blobs = list(values)
        yield from ((key, _ROWS + blob) for blob in blobs)
        if key != REPORT:
            keys = self._spec.source.pair_keys(_resolve(self._spec, blobs))
            count = self._spec.num_buckets
            for index, blob in duplicates.partition(keys, key, count):
                yield count + index, blob


class FindDuplicates(beam.DoFn):
    """(digest range, digests) -> (bucket, pairs to leave out); everything else passes."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Compares one range of digests."""
        from pipelines import duplicates

        key, values = group
        if key < self._spec.num_buckets:
            yield from ((key, value) for value in values)
        else:
            for bucket, blob in duplicates.losers(list(values)):
                yield bucket, _DUPLICATES + blob


def _resolve(spec: JobSpec, blobs: Iterable[bytes]) -> list[bytes]:
    if spec.spill_folder is None:
        return list(blobs)
    return [spill.read(spec.spill_folder, blob) for blob in blobs]


class WriteBucket(beam.DoFn):
    """(bucket, blobs) -> staged shard files and (0, JSON about them)."""

    def __init__(self, spec: JobSpec, tokenizer_files: TokenizerFiles) -> None:
        self._spec = spec
        self._tokenizer_files = tokenizer_files

    def setup(self) -> None:
        """Prepares what every bundle uses."""
        self._progress = Progress(self._spec.staging)

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Writes one bucket's shards, or merges the readers' reports."""
        key, values = group
        blobs, duplicates = list(values), []
        if self._spec.drop_duplicates:
            duplicates = [blob[1:] for blob in blobs if blob[:1] == _DUPLICATES]
            blobs = [blob[1:] for blob in blobs if blob[:1] == _ROWS]
        if key == REPORT:
            result = merge_reports(self._spec, blobs)
        else:
            result = self._bucket(key, blobs, duplicates)
        yield 0, json.dumps(result).encode()

    def _bucket(self, bucket: int, blobs: list[bytes], duplicates: list[bytes]) -> dict[str, Any]:
        from pipelines.tokenizer_files import tokenize_function

        tokenize = tokenize_function(self._tokenizer_files, self._spec.max_length)
        rows = _resolve(self._spec, blobs)
        made = self._spec.source.process(rows, tokenize, duplicates)
        result = {
            "bucket": bucket,
            "shards": {
                split: publish.stage(self._spec.staging, shard.data, shard.examples)
                for split, shard in made.shards.items()
            },
            "counters": made.counters,
            "statistics": made.statistics.to_dict(),
        }
        self._progress.bucket_done(bucket)
        return result


def merge_reports(spec: JobSpec, blobs: Iterable[bytes]) -> dict[str, Any]:
    """Adds up the readers' reports and stages the file of rejected lines.

    Raises:
        UserError: more lines were rejected than `max_bad_ratio` allows.
    """
    inputs, rejects = [], []
    counters: Counter[str] = Counter()
    for blob in blobs:
        report = json.loads(blob)
        counters.update(report["counts"])
        rejects.extend(report["rejects"])
        if "input" in report:
            inputs.append(report["input"])
    rejects.sort()
    counters.update(f"rejected/{reason}" for _, _, reason, _ in rejects)
    lines = sum(entry["lines"] for entry in inputs)
    if len(rejects) > spec.max_bad_ratio * lines:
        table = ", ".join(
            f"{name.split('/')[1]} {count:,}"
            for name, count in counters.most_common()
            if name.startswith("rejected/")
        )
        raise UserError(
            f"{len(rejects):,} of {lines:,} lines cannot be used ({table}), more than "
            f"--max-bad-ratio {spec.max_bad_ratio:g}, the first in {rejects[0][0]} line "
            f"{rejects[0][1]}; look at the input, or allow it with a higher ratio"
        )
    keys = ("file", "line", "reason", "begins")
    text = "".join(
        json.dumps(dict(zip(keys, reject, strict=True)), ensure_ascii=False) + "\n"
        for reject in rejects
    )
    staged = publish.stage(spec.staging, text.encode(), len(rejects))
    return {
        "inputs": sorted(inputs, key=lambda entry: entry["path"]),
        "lines": lines,
        "counters": counters,
        "rejects": staged | {"name": f"{REJECTS_FOLDER}/rejects.ndjson"},
    }


class Publish(beam.DoFn):
    """All results -> the finished corpus."""

    def __init__(self, spec: JobSpec, publication: publish.Publication) -> None:
        self._spec = spec
        self._publication = publication

    def process(self, group: tuple[int, Iterable[bytes]]) -> None:
        """Checks that everything is there and adds up, and publishes it."""
        _, blobs = group
        results = [json.loads(blob) for blob in blobs]
        (report,) = [result for result in results if "inputs" in result]
        buckets = sorted(
            (result for result in results if "bucket" in result), key=lambda r: r["bucket"]
        )
        counters: Counter[str] = Counter(report["counters"])
        statistics = PairStatistics()
        for bucket in buckets:
            counters.update(bucket["counters"])
            statistics.add(PairStatistics.from_dict(bucket["statistics"]))
        if sum(counters.values()) != report["lines"]:
            raise UserError(
                f"{report['lines']:,} lines were read but {sum(counters.values()):,} counted; "
                "nothing was published. Please report this with the input"
            )
        publish.publish(
            self._publication,
            staging=self._spec.staging,
            num_shards=self._spec.num_buckets,
            shards={bucket["bucket"]: bucket["shards"] for bucket in buckets},
            rejects=report["rejects"],
            inputs=report["inputs"],
            counters=dict(counters),
            statistics=statistics,
        )
