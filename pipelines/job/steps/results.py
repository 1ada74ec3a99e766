"""The results of buckets, merged as a tree so that no value grows with their number.

A runner may hold all values of a key in one record. So `FANOUT` results at a time become one,
which has as many counters as each of them, at most so many subreddits, and names a staged
file with the list of the buckets' shards. The tree is the same on one machine: which
subreddits are counted by name depends on it.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam

from rejoinder import storage
from rejoinder.pipelines.job.steps.spec import REPORT, JobSpec
from rejoinder.pipelines.job.steps.versions import SameVersions
from rejoinder.pipelines.publish.staging import StagedFile, stage
from rejoinder.pipelines.shards.shared_texts import SharedTexts
from rejoinder.pipelines.shards.statistics import PairStatistics

FANOUT = 64

Shards = Mapping[str, StagedFile]


@dataclass
class Results:
    """What publication needs to know of one bucket, or of many.

    Attributes:
        counters: Lines by outcome.
        statistics: Histograms of the pairs.
        shards: The staged files of each bucket, by split or `publish.table_key`.
        lists: Staged files with further `shards`.
        shared: The texts of each split, to find those that both have.
    """

    counters: Counter[str] = field(default_factory=Counter)
    statistics: PairStatistics = field(default_factory=PairStatistics)
    shards: dict[int, Shards] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    shared: SharedTexts = field(default_factory=SharedTexts)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Results":
        """Reads the result of `to_dict`, also after it was JSON."""
        return cls(
            Counter(values["counters"]),
            PairStatistics.from_dict(values["statistics"]),
            {int(bucket): shards for bucket, shards in values["shards"].items()},
            values["lists"],
            SharedTexts.from_dict(values["shared"]),
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the results as JSON values."""
        return {
            "counters": self.counters,
            "statistics": self.statistics.to_dict(),
            "shards": self.shards,
            "lists": self.lists,
            "shared": self.shared.to_dict(),
        }

    def all_shards(self) -> dict[int, Shards]:
        """Returns the staged files of each bucket, those in the staged lists included."""
        found = dict(self.shards)
        for path in self.lists:
            listed = json.loads(storage.read_bytes(path))
            found.update((int(bucket), shards) for bucket, shards in listed.items())
        return found


def merge(results: Iterable[Results]) -> Results:
    """Adds up results, and limits the number of subreddits that are counted by name."""
    merged = Results()
    for result in results:
        merged.counters.update(result.counters)
        merged.statistics.add(result.statistics)
        merged.shards.update(result.shards)
        merged.lists += result.lists
        merged.shared += result.shared
    merged.statistics.limit_subreddits()
    return merged


def count_levels(num_buckets: int) -> int:
    """Returns the number of merges between a bucket and the corpus, at least 1."""
    return next(level for level in itertools.count(1) if FANOUT**level >= num_buckets)


def merge_all(results: Iterable[tuple[int, Results]], num_buckets: int) -> Results:
    """Merges the results of all buckets in one process.

    Args:
        results: (bucket, result), sorted by bucket; read once. Buckets may be missing.
        num_buckets: Number of buckets.
    """
    for _ in range(count_levels(num_buckets)):
        results = _merge_groups(results)
    return next((merged for _, merged in results), Results())


def _merge_groups(results: Iterable[tuple[int, Results]]) -> Iterator[tuple[int, Results]]:
    for group, members in itertools.groupby(results, key=lambda member: member[0] // FANOUT):
        yield group, merge(result for _, result in members)


class MergeResults(SameVersions, beam.DoFn):
    """(group, results) -> (group, one result); passes the readers' report on."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Merges the results of one group."""
        key, blobs = group
        if key == REPORT:
            yield from ((key, blob) for blob in blobs)
            return
        merged = merge(Results.from_dict(json.loads(blob)) for blob in blobs)
        if merged.shards:
            text = json.dumps(merged.shards).encode()
            merged.lists.append(stage(self._spec.staging, text, len(merged.shards))["staged"])
            merged.shards = {}
        yield key, json.dumps(merged.to_dict()).encode()


def add_merges(results: beam.PCollection, spec: JobSpec) -> beam.PCollection:
    """Adds all levels of the tree but the last, which publication does.

    Args:
        results: (bucket, JSON of `Results.to_dict`), and one (REPORT, JSON).
        spec: The job.

    Returns:
        The same under fewer keys: at most `FANOUT` results.
    """
    for level in range(1, count_levels(spec.num_buckets)):
        results = (
            results
            | f"Group{level}" >> beam.MapTuple(_group).with_output_types(tuple[int, bytes])
            | f"GroupResults{level}" >> beam.GroupByKey()
            | f"MergeResults{level}"
            >> beam.ParDo(MergeResults(spec)).with_output_types(tuple[int, bytes])
        )
    return results


def _group(key: int, blob: bytes) -> tuple[int, bytes]:
    return (key if key == REPORT else key // FANOUT), blob
