"""The last step: publishes the corpus from the results of all buckets."""

import json
from collections import Counter
from collections.abc import Iterable

import apache_beam as beam

from rejoinder.corpus.manifest import counted_lines
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.job.steps.spec import JobSpec
from rejoinder.pipelines.publish import publish
from rejoinder.pipelines.shards.statistics import PairStatistics


class Publish(beam.DoFn):
    """All results -> the finished corpus."""

    def __init__(self, spec: JobSpec, publication: publish.Publication) -> None:
        self._spec = spec
        self._publication = publication

    def process(self, group: tuple[int, Iterable[bytes]]) -> None:
        """Checks that the counters add up to the lines read, and publishes the corpus."""
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
        if counted_lines(counters) != report["lines"]:
            raise UserError(
                f"{report['lines']:,} lines were read but {counted_lines(counters):,} counted; "
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
            notes=ReadNotes.from_dict(report["notes"]),
        )
