"""The first step: reads a part of a file into blobs of rows by bucket, and reports the rest."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.job import disk_shuffle
from rejoinder.pipelines.job.progress import Progress
from rejoinder.pipelines.job.steps.spec import REPORT, JobSpec

# Rows collected before they are split into buckets: small blobs have a high overhead.
_FLUSH_BYTES = 64 << 20
# Rejected lines of a part before their share is checked: a file that is not a dump, or a bomb of
# bad lines, ends the run here instead of filling the memory first.
_MIN_REJECTS = 100_000


class ReadDump(beam.DoFn):
    """Part of a file -> (bucket, Arrow blob)…, (REPORT, JSON)."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def setup(self) -> None:
        """Opens the progress files."""
        self._progress = Progress(self._spec.staging)

    def start_bundle(self) -> None:
        """Starts without rows."""
        self._frames: list[Any] = []
        self._bytes = 0

    def process(self, part: Part) -> Iterator[tuple[int, bytes]]:
        """Reads one part."""
        from rejoinder.pipelines.dumps.chunks import FileSummary
        from rejoinder.pipelines.dumps.notes import ReadNotes

        summary, notes = FileSummary(), ReadNotes(self._spec.with_samples)
        rejects: list[list[Any]] = []
        counts: Counter[str] = Counter()
        for chunk in self._spec.extractor.read_chunks(
            part.path,
            summary,
            begin=part.begin,
            end=part.end,
            checksum=part.is_last,
            keep_damaged=self._spec.keep_damaged,
            limit=self._spec.limit,
            progress=self._progress.reader(part),
        ):
            rows, bad, ended = self._spec.extractor.read(part.path, chunk, notes)
            rejects.extend([part.path, r.line, r.reason, r.excerpt] for r in bad)
            counts.update(ended)
            lines = chunk.first_line + chunk.lines - 1
            if len(rejects) > max(_MIN_REJECTS, self._spec.max_bad_ratio * lines):
                raise UserError(
                    f"{part.path}: {len(rejects):,} of the first {lines:,} lines were rejected, "
                    f"the last for {rejects[-1][2]}, more than --max-bad-ratio "
                    f"{self._spec.max_bad_ratio:g}; check the file, or allow a higher ratio"
                )
            self._frames.append(rows)
            self._bytes += int(rows.estimated_size())
            if self._bytes >= _FLUSH_BYTES:
                yield from self._flush()
        report: dict[str, Any] = {
            "counts": counts,
            "rejects": rejects,
            "notes": notes.to_dict(),
        }
        if part.is_last:
            report["input"] = {
                "path": part.path,
                "bytes": summary.stored_bytes,
                "sha256": summary.sha256,
                "lines": summary.lines,
            } | ({"damage": summary.damage} if summary.damage else {})
        yield REPORT, json.dumps(report).encode()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Sends the remaining rows."""
        for value in self._flush():
            yield WindowedValue(value, GlobalWindow().max_timestamp(), (GlobalWindow(),))

    def _flush(self) -> Iterator[tuple[int, bytes]]:
        import polars as pl

        if self._frames:
            rows = pl.concat(self._frames)
            self._frames, self._bytes = [], 0
            blobs = self._spec.extractor.to_buckets(rows, self._spec.num_buckets)
            folder = self._spec.shuffle_folder
            yield from blobs if folder is None else disk_shuffle.write(folder, blobs)
