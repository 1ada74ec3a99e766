"""The steps that find equal pairs in the whole corpus by their digests."""

from collections.abc import Iterable, Iterator

import apache_beam as beam

from rejoinder.pipelines.job.steps.spec import DUPLICATES, REPORT, ROWS, JobSpec
from rejoinder.pipelines.job.steps.versions import SameVersions


class DigestPairs(SameVersions, beam.DoFn):
    """(bucket, blobs) -> (digest range, digests of the bucket's pairs)."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Digests one bucket's pairs."""
        from rejoinder.pipelines.shuffle import duplicates

        key, blobs = group
        if key != REPORT:
            keys = self._spec.extractor.pair_keys(list(blobs))
            yield from duplicates.partition_keys(keys, key, self._spec.num_buckets)


class FindDuplicates(SameVersions, beam.DoFn):
    """(digest range, digests) -> (bucket, pairs to drop)."""

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Compares one range of digests."""
        from rejoinder.pipelines.shuffle import duplicates

        _, blobs = group
        for bucket, blob in duplicates.duplicates_to_drop(list(blobs)):
            yield bucket, DUPLICATES + blob


def add_duplicates(rows: beam.PCollection, spec: JobSpec) -> beam.PCollection:
    """Adds the steps; only digests cross their second shuffle.

    Args:
        rows: (bucket, blob), and (REPORT, JSON).
        spec: The job.

    Returns:
        The same, each value behind `ROWS`, and (bucket, pairs to drop) behind `DUPLICATES`.
    """
    keyed = tuple[int, bytes]
    found = (
        rows
        | "GroupByBucket" >> beam.GroupByKey()
        | "DigestPairs" >> beam.ParDo(DigestPairs(spec)).with_output_types(keyed)
        | "GroupByDigest" >> beam.GroupByKey()
        | "FindDuplicates" >> beam.ParDo(FindDuplicates()).with_output_types(keyed)
    )
    marked = rows | "MarkRows" >> beam.MapTuple(_mark_rows).with_output_types(keyed)
    return (marked, found) | "RowsAndDuplicates" >> beam.Flatten()


def _mark_rows(key: int, blob: bytes) -> tuple[int, bytes]:
    return key, ROWS + blob
