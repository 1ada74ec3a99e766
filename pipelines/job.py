"""The Beam job: read, one shuffle by thread bucket, write, publish.

    parts of files ─ ReadDump ─▶ (bucket, Arrow blob) ─ GroupByKey ─▶ WriteBucket
                        └──────▶ (REPORT, JSON) ──────────┘              │ (0, JSON)
                                                       GroupByKey ─ Publish ◀┘

Reports travel under a key of their own instead of a tagged output, because not
every runner keeps tagged outputs apart.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from corpus.errors import UserError
from corpus.naming import REJECTS_FOLDER
from pipelines import publish, storage
from pipelines.inputs import Part
from pipelines.options import ExtractOptions
from pipelines.progress import Progress
from pipelines.statistics import PairStatistics

# The shuffle key of the readers' reports; buckets count from 0.
REPORT = -1
# Rows collected before they are partitioned: large enough that a blob is worth its overhead.
_FLUSH_BYTES = 64 << 20


@dataclass(frozen=True)
class JobSpec:
    """Everything that the workers need to know.

    Attributes:
        options: What shapes the pairs.
        num_buckets: Buckets of the shuffle, shards of each split.
        staging: Folder that is written to before publication.
        keep_damaged: Take what a damaged archive still gives.
        max_bad_ratio: Largest share of lines that may be rejected.
        publication: What `publish` needs.
    """

    options: ExtractOptions
    num_buckets: int
    staging: str
    keep_damaged: bool
    max_bad_ratio: float
    publication: publish.Publication


def build(
    pipeline: beam.Pipeline,
    spec: JobSpec,
    parts: list[Part],
    tokenizer_files: tuple[tuple[str, bytes], ...],
) -> None:
    """Adds the job to a pipeline.

    Args:
        pipeline: An empty pipeline.
        spec: What to make.
        parts: What to read.
        tokenizer_files: Name and content of the tokenizer folder's files.
    """
    _ = (
        pipeline
        | "Parts" >> beam.Create(parts, reshuffle=False)
        | "Distribute" >> beam.Reshuffle()
        | "ReadDump" >> beam.ParDo(ReadDump(spec)).with_output_types(tuple[int, bytes])
        | "GroupByBucket" >> beam.GroupByKey()
        | "WriteBucket"
        >> beam.ParDo(WriteBucket(spec, tokenizer_files)).with_output_types(tuple[int, bytes])
        | "GroupResults" >> beam.GroupByKey()
        | "Publish" >> beam.ParDo(Publish(spec))
    )


class ReadDump(beam.DoFn):
    """Part of a file -> (bucket, Arrow blob)…, (REPORT, JSON)."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def setup(self) -> None:
        """Prepares what every bundle uses."""
        from pipelines.filters import build_filters

        self._filters = build_filters(self._spec.options)
        self._progress = Progress(self._spec.staging)

    def start_bundle(self) -> None:
        """Begins without rows."""
        self._frames: list[Any] = []
        self._bytes = 0

    def process(self, part: Part) -> Iterator[tuple[int, bytes]]:
        """Reads one part."""
        from pipelines.chunks import FileSummary, read_chunks
        from pipelines.comments import to_rows
        from pipelines.parse import parse_chunk

        summary = FileSummary()
        rejects: list[list[Any]] = []
        blanks = comments = 0
        for chunk in read_chunks(
            part.path,
            summary,
            part=part.part,
            parts=part.parts,
            checksum=part.part == 0,
            keep_damaged=self._spec.keep_damaged,
            progress=self._progress.reader(part),
        ):
            parsed, bad, blank = parse_chunk(chunk)
            _refuse_submissions(part.path, chunk.lines, bad)
            rejects.extend(
                [part.path, reject.line, reject.reason, reject.excerpt] for reject in bad
            )
            blanks += blank
            comments += parsed.height
            rows = to_rows(parsed, self._filters, self._spec.options)
            self._frames.append(rows)
            self._bytes += int(rows.estimated_size())
            if self._bytes >= _FLUSH_BYTES:
                yield from self._flush()
        report: dict[str, Any] = {
            "blank_lines": blanks,
            "comments": comments,
            "rejects": rejects,
        }
        if part.part == 0:
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

        from pipelines.partition import partition

        if self._frames:
            rows = pl.concat(self._frames)
            self._frames, self._bytes = [], 0
            yield from partition(rows, self._spec.num_buckets)


def _refuse_submissions(path: str, lines: int, rejects: list) -> None:
    submissions = sum(reject.reason == "submission" for reject in rejects)
    if submissions * 2 > lines:
        raise UserError(
            f"{path}: holds submissions (RS_ files), not comments; give the RC_ file of that month"
        )


class WriteBucket(beam.DoFn):
    """(bucket, blobs) -> staged shard files and (0, JSON about them)."""

    def __init__(self, spec: JobSpec, tokenizer_files: tuple[tuple[str, bytes], ...]) -> None:
        self._spec = spec
        self._tokenizer_files = tokenizer_files

    def setup(self) -> None:
        """Prepares what every bundle uses."""
        self._progress = Progress(self._spec.staging)

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Writes one bucket's shards, or merges the readers' reports."""
        key, blobs = group
        result = self._reports(blobs) if key == REPORT else self._bucket(key, list(blobs))
        yield 0, json.dumps(result).encode()

    def _bucket(self, bucket: int, blobs: list[bytes]) -> dict[str, Any]:
        from pipelines.buckets import process_bucket
        from pipelines.tokenizer_files import tokenize_function

        tokenize = tokenize_function(self._tokenizer_files, self._spec.options.max_length)
        made = process_bucket(blobs, self._spec.options, tokenize)
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

    def _reports(self, blobs: Iterable[bytes]) -> dict[str, Any]:
        inputs, rejects = [], []
        counters: Counter[str] = Counter()
        comments = 0
        for blob in blobs:
            report = json.loads(blob)
            counters["blank_line"] += report["blank_lines"]
            comments += report["comments"]
            rejects.extend(report["rejects"])
            if "input" in report:
                inputs.append(report["input"])
        rejects.sort()
        counters.update(f"rejected/{reason}" for _, _, reason, _ in rejects)
        lines = sum(entry["lines"] for entry in inputs)
        _check_bad_ratio(lines, counters, len(rejects), self._spec.max_bad_ratio)
        keys = ("file", "line", "reason", "begins")
        text = "".join(
            json.dumps(dict(zip(keys, reject, strict=True)), ensure_ascii=False) + "\n"
            for reject in rejects
        )
        name = storage.join(self._spec.staging, f"rejects-{uuid.uuid4().hex}")
        storage.write_bytes(name, text.encode())
        return {
            "inputs": sorted(inputs, key=lambda entry: entry["path"]),
            "lines": lines,
            "comments": comments,
            "counters": counters,
            "rejects": {"staged": name, "name": f"{REJECTS_FOLDER}/rejects.ndjson"},
        }


def _check_bad_ratio(lines: int, counters: Counter[str], bad: int, allowed: float) -> None:
    if bad > allowed * lines:
        table = ", ".join(
            f"{name.split('/')[1]} {count:,}"
            for name, count in counters.most_common()
            if name.startswith("rejected/")
        )
        raise UserError(
            f"{bad:,} of {lines:,} lines are no comments ({table}), more than --max-bad-ratio "
            f"{allowed:g}; look at the input, or allow it with a higher ratio"
        )


class Publish(beam.DoFn):
    """All results -> the finished corpus."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

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
            self._spec.publication,
            staging=self._spec.staging,
            num_shards=self._spec.num_buckets,
            shards={bucket["bucket"]: bucket["shards"] for bucket in buckets},
            rejects=report["rejects"],
            inputs=report["inputs"],
            counters=dict(counters),
            statistics=statistics,
        )
