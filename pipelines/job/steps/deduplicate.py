"""The two steps that find equal pairs in the whole corpus by their digests."""

from collections.abc import Iterable, Iterator

import apache_beam as beam

from rejoinder.pipelines.job.steps.spec import DUPLICATES, REPORT, ROWS, JobSpec


class DigestPairs(beam.DoFn):
    """(bucket, blobs) -> the same blobs and, under keys beyond the buckets, pair digests."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Digests one bucket's pairs."""
        from rejoinder.pipelines.shuffle import duplicates

        key, values = group
        blobs = list(values)
        yield from ((key, ROWS + blob) for blob in blobs)
        if key != REPORT:
            keys = self._spec.extractor.pair_keys(blobs)
            count = self._spec.num_buckets
            for index, blob in duplicates.partition_keys(keys, key, count):
                yield count + index, blob


class FindDuplicates(beam.DoFn):
    """(digest range, digests) -> (bucket, pairs to drop); passes everything else on."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Compares one range of digests."""
        from rejoinder.pipelines.shuffle import duplicates

        key, values = group
        if key < self._spec.num_buckets:
            yield from ((key, value) for value in values)
        else:
            for bucket, blob in duplicates.duplicates_to_drop(list(values)):
                yield bucket, DUPLICATES + blob
