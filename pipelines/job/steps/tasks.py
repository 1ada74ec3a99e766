"""The steps of a run on one machine: tasks that leave files and a record, and are done once.

A task's number is all that crosses Beam. What it made is in the staging folder: files of
the shuffle or staged shards, and a record with their checksums, by which this run or the
next one after a crash knows that the task is finished.
"""

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import apache_beam as beam

from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.growth.spec import newest_month
from rejoinder.pipelines.job import claims, disk_shuffle, records, tokenizer_files
from rejoinder.pipelines.job.progress import Progress
from rejoinder.pipelines.job.steps.finish import publish_results
from rejoinder.pipelines.job.steps.read import read_part
from rejoinder.pipelines.job.steps.results import Results, merge_all
from rejoinder.pipelines.job.steps.spec import JobSpec
from rejoinder.pipelines.job.steps.write import merge_reports, write_bucket
from rejoinder.pipelines.publish.publish import Publication

if TYPE_CHECKING:
    from rejoinder.pipelines.growth.state import Growth

_REPORT = "report"


class Tasks(Protocol):
    """The tasks of one step; small and picklable.

    Attributes:
        step: Name of the step, the first part of each task's name.
        count: Number of tasks.
    """

    @property
    def step(self) -> str:
        """See the class."""

    @property
    def count(self) -> int:
        """See the class."""

    def run(self, number: int) -> tuple[Any, Mapping[str, str]]:
        """Does a task.

        Returns:
            JSON values for later steps, and the digest of each file that the task
            wrote, by path relative to the staging folder.
        """

    def finished(self, number: int) -> None:
        """Tells the progress line that a task is finished."""


def task_name(step: str, number: int) -> str:
    """Returns the name of a task."""
    return f"{step}-{number:06d}"


class RunTask(beam.DoFn):
    """Number of a task -> (0, b"") when no task is left for this worker.

    Which number arrives does not matter: the tasks are taken from `claims`.
    """

    def __init__(self, staging: str, tasks: Tasks) -> None:
        self._staging = staging
        self._tasks = tasks

    def process(self, number: int) -> Iterator[tuple[int, bytes]]:
        """Does tasks until other workers have done, or are doing, the rest."""
        while (claimed := claims.next_task(self._staging, self._tasks.step)) < self._tasks.count:
            self._do(claimed)
        yield 0, b""

    def _do(self, number: int) -> None:
        """Does a task, unless its record and its files are there from an earlier run."""
        name = task_name(self._tasks.step, number)
        if records.read_intact(self._staging, name) is None:
            started = time.monotonic()
            result, files = self._tasks.run(number)
            seconds = time.monotonic() - started
            records.write(self._staging, name, records.Record(seconds, files, result))
        self._tasks.finished(number)


@dataclass(frozen=True)
class ReadParts:
    """Tasks that read one part each: rows to a file by bucket, the report to the record."""

    spec: JobSpec
    parts: tuple[Part, ...]
    step: str = "part"

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self.parts)

    def run(self, number: int) -> tuple[Any, Mapping[str, str]]:
        """See `Tasks.run`."""
        spec, report = self.spec, dict[str, Any]()
        rows = read_part(spec, self.parts[number], Progress(spec.staging), report)
        flushes = (spec.extractor.to_buckets(some, spec.num_buckets) for some in rows)
        files = _write(spec, self.step, number, flushes, spec.num_buckets)
        return report, files

    def finished(self, number: int) -> None:
        """See `Tasks.finished`."""
        part = self.parts[number]
        Progress(self.spec.staging).reader(part)(part.begin + part.length)


@dataclass(frozen=True)
class DigestBuckets:
    """Tasks that digest the pairs of one bucket each, to a file by range of digests."""

    spec: JobSpec
    num_parts: int
    step: str = "digests"

    @property
    def count(self) -> int:
        """Number of buckets."""
        return self.spec.num_buckets

    def run(self, number: int) -> tuple[Any, Mapping[str, str]]:
        """See `Tasks.run`."""
        from rejoinder.pipelines.shuffle import duplicates

        spec = self.spec
        flush: Iterable[tuple[int, bytes]] = ()
        growth = _growth(spec, number)
        if (blobs := _read(spec, ReadParts.step, self.num_parts, number)) or growth:
            keys = spec.extractor.pair_keys(blobs, growth)
            flush = duplicates.partition_keys(keys, number, spec.num_buckets)
        return None, _write(spec, self.step, number, [flush], spec.num_buckets)

    def finished(self, number: int) -> None:
        """See `Tasks.finished`."""


@dataclass(frozen=True)
class FindRepeats:
    """Tasks that find the equal pairs in one range of digests each, to a file by bucket.

    There are as many ranges as buckets, so that a range does not grow with the input.
    """

    spec: JobSpec
    step: str = "repeats"

    @property
    def count(self) -> int:
        """Number of ranges."""
        return self.spec.num_buckets

    def run(self, number: int) -> tuple[Any, Mapping[str, str]]:
        """See `Tasks.run`."""
        from rejoinder.pipelines.shuffle import duplicates

        spec = self.spec
        flush: Iterable[tuple[int, bytes]] = ()
        if blobs := _read(spec, DigestBuckets.step, spec.num_buckets, number):
            flush = duplicates.duplicates_to_drop(blobs)
        return None, _write(spec, self.step, number, [flush], spec.num_buckets)

    def finished(self, number: int) -> None:
        """See `Tasks.finished`."""


@dataclass(frozen=True)
class WriteBuckets:
    """Tasks that stage the shards of one bucket each; a bucket without rows has none."""

    spec: JobSpec
    num_parts: int
    step: str = "bucket"

    @property
    def count(self) -> int:
        """Number of buckets."""
        return self.spec.num_buckets

    def run(self, number: int) -> tuple[Any, Mapping[str, str]]:
        """See `Tasks.run`."""
        spec = self.spec
        blobs = _read(spec, ReadParts.step, self.num_parts, number)
        growth = _growth(spec, number)
        if not blobs and growth is None:
            return None, {}
        ranges = spec.num_buckets if spec.drop_duplicates else 0
        repeats = _read(spec, FindRepeats.step, ranges, number)
        files = tokenizer_files.stored(spec.staging)
        result = write_bucket(spec, files, number, blobs, repeats, growth)
        shards = result.shards[number].values()
        return result.to_dict(), {
            os.path.relpath(s["staged"], spec.staging): s["sha256"] for s in shards
        }

    def finished(self, number: int) -> None:
        """See `Tasks.finished`."""
        Progress(self.spec.staging).bucket_done(number)


class MergeReports(beam.DoFn):
    """All parts are read -> (0, b""); leaves the merged report of the parts in a record."""

    def __init__(self, spec: JobSpec, num_parts: int) -> None:
        self._spec = spec
        self._num_parts = num_parts

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Merges the reports, also if an earlier run did: --max-bad-ratio may be another."""
        found = _results(self._spec, ReadParts.step, self._num_parts)
        merged = merge_reports(self._spec, found)
        records.write(self._spec.staging, _REPORT, records.Record(0.0, {}, merged))
        yield 0, b""


class PublishFinished(beam.DoFn):
    """All buckets are staged -> the finished corpus."""

    def __init__(self, spec: JobSpec, publication: Publication) -> None:
        self._spec = spec
        self._publication = publication

    def process(self, group: tuple[int, Iterable[bytes]]) -> None:
        """Publishes the corpus from the records of all buckets, one at a time."""
        report = records.read(self._spec.staging, _REPORT)
        assert report is not None
        count = self._spec.num_buckets
        buckets = enumerate(_results(self._spec, WriteBuckets.step, count))
        found = ((number, Results.from_dict(values)) for number, values in buckets if values)
        files = tokenizer_files.stored(self._spec.staging)
        publication = dataclasses.replace(self._publication, tokenizer_files=files)
        publish_results(self._spec, publication, report.result, merge_all(found, count))
        records.end(self._spec.staging)


def _growth(spec: JobSpec, bucket: int) -> "Growth | None":
    """Returns what a bucket of a corpus that can grow needs, None for any other corpus."""
    if spec.growth is None:
        return None
    from rejoinder.pipelines.growth.state import Growth, read_bucket

    report = records.read(spec.staging, _REPORT)
    assert report is not None
    newest = newest_month(report.result["notes"]["months"], spec.growth.newest_month)
    carried = read_bucket(spec.growth, bucket, spec.num_buckets)
    return Growth(carried, spec.growth.oldest_month(newest))


def _results(spec: JobSpec, step: str, count: int) -> Iterator[Any]:
    for number in range(count):
        record = records.read(spec.staging, task_name(step, number))
        assert record is not None, f"{step} {number} has no record"
        yield record.result


def _write(
    spec: JobSpec,
    step: str,
    number: int,
    flushes: Iterable[Iterable[tuple[int, bytes]]],
    num_keys: int,
) -> Mapping[str, str]:
    """Writes a task's file of the shuffle; returns its digest by name."""
    name = os.path.join(disk_shuffle.FOLDER, task_name(step, number))
    return {name: disk_shuffle.write(os.path.join(spec.staging, name), flushes, num_keys)}


def _read(spec: JobSpec, step: str, count: int, key: int) -> Sequence[bytes]:
    """Returns the blobs of one key from the files of all tasks of a step."""
    folder = os.path.join(spec.staging, disk_shuffle.FOLDER)
    paths = (os.path.join(folder, task_name(step, number)) for number in range(count))
    return [blob for path in paths for blob in disk_shuffle.read(path, key)]
