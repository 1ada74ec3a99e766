"""The first step: reads a part of a file into rows of the shuffle, and reports the rest."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.job.progress import Progress
from rejoinder.pipelines.job.steps.spec import REPORT, JobSpec
from rejoinder.pipelines.job.steps.versions import SameVersions

if TYPE_CHECKING:
    import polars as pl

# Rows collected before they are split into buckets: small blobs have a high overhead.
_FLUSH_BYTES = 64 << 20
# Rejected lines of a part before their share is checked: a file that is not a dump, or a bomb of
# bad lines, ends the run here instead of filling the memory first.
_MIN_REJECTS = 100_000


def read_part(
    spec: JobSpec, part: Part, progress: Progress, report: dict[str, Any]
) -> Iterator["pl.DataFrame"]:
    """Yields the rows of a part in flushes of at least 64 MiB, the last one smaller.

    Args:
        spec: The job.
        part: What to read.
        progress: Told about the bytes read.
        report: Filled at the end with JSON values: the counts of lines that are not rows, the
            rejected lines, and the file's summary if the part is the file's last.

    Raises:
        UserError: The file cannot be read, is damaged, or has too many rejected lines.
    """
    import polars as pl

    from rejoinder.pipelines.dumps.chunks import FileSummary
    from rejoinder.pipelines.dumps.notes import ReadNotes

    summary, notes = FileSummary(), ReadNotes(spec.with_samples)
    rejects: list[list[Any]] = []
    counts: Counter[str] = Counter()
    frames: list[pl.DataFrame] = []
    for chunk in spec.extractor.read_chunks(
        part.path,
        summary,
        begin=part.begin,
        end=part.end,
        checksum=part.is_last,
        keep_damaged=spec.keep_damaged,
        limit=spec.limit,
        progress=progress.reader(part),
    ):
        rows, bad, ended = spec.extractor.read(part.path, chunk, notes)
        rejects.extend([part.path, r.line, r.reason, r.excerpt] for r in bad)
        counts.update(ended)
        lines = chunk.first_line + chunk.lines - 1
        if len(rejects) > max(_MIN_REJECTS, spec.max_bad_ratio * lines):
            raise UserError(
                f"{part.path}: {len(rejects):,} of the first {lines:,} lines were rejected, "
                f"the last for {rejects[-1][2]}, more than --max-bad-ratio "
                f"{spec.max_bad_ratio:g}; check the file, or allow a higher ratio"
            )
        frames.append(rows)
        if sum(frame.estimated_size() for frame in frames) >= _FLUSH_BYTES:
            yield pl.concat(frames)
            frames = []
    if frames:
        yield pl.concat(frames)
    report.update(counts=counts, rejects=rejects, notes=notes.to_dict())
    if part.is_last:
        report["input"] = {
            "path": part.path,
            "bytes": summary.stored_bytes,
            "sha256": summary.sha256,
            "lines": summary.lines,
        } | ({"damage": summary.damage} if summary.damage else {})


class ReadDump(SameVersions, beam.DoFn):
    """Part of a file -> (bucket, Arrow blob)…, (REPORT, JSON)."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def process(self, part: Part) -> Iterator[tuple[int, bytes]]:
        """Reads one part."""
        spec, report = self._spec, dict[str, Any]()
        for rows in read_part(spec, part, Progress(spec.staging), report):
            yield from spec.extractor.to_buckets(rows, spec.num_buckets)
        yield REPORT, json.dumps(report).encode()
