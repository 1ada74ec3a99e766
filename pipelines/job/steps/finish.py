"""The last step: publishes the corpus from the results of all buckets."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from rejoinder.corpus.manifest import counted_lines
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.job import tokenizer_files
from rejoinder.pipelines.job.steps.results import Results, merge
from rejoinder.pipelines.job.steps.spec import JobSpec
from rejoinder.pipelines.job.steps.versions import SameVersions
from rejoinder.pipelines.publish import publish


class Publish(SameVersions, beam.DoFn):
    """The results of all buckets, merged to a few, and the report -> the finished corpus."""

    def __init__(self, spec: JobSpec, publication: publish.Publication) -> None:
        self._spec = spec
        self._publication = publication

    def process(self, group: tuple[int, Iterable[bytes]]) -> None:
        """Publishes the corpus."""
        _, blobs = group
        values = [json.loads(blob) for blob in blobs]
        (report,) = [value for value in values if "inputs" in value]
        results = merge(Results.from_dict(value) for value in values if value is not report)
        publish_results(self._spec, self._publication, report, results)


def publish_results(
    spec: JobSpec,
    publication: publish.Publication,
    report: dict[str, Any],
    results: Results,
) -> None:
    """Checks that the counters add up to the lines read, and publishes the corpus.

    Args:
        spec: The job.
        publication: Metadata that is known before the job runs.
        report: From `write.merge_reports`.
        results: Of all buckets.

    Raises:
        UserError: The counters do not add up, or the corpus cannot be published.
    """
    tokenizer = tokenizer_files.load(publication.tokenizer_files)
    publication = dataclasses.replace(publication, tokenizer=tokenizer.fingerprint)
    counters = Counter(report["counters"])
    counters.update(results.counters)
    if counted_lines(counters) != report["lines"]:
        raise UserError(
            f"{report['lines']:,} lines were read but {counted_lines(counters):,} counted; "
            "nothing was published. Please report this with the input"
        )
    publish.publish(
        publication,
        staging=spec.staging,
        num_shards=spec.num_buckets,
        shards=results.all_shards(),
        rejects=report["rejects"],
        inputs=report["inputs"],
        counters=dict(counters),
        statistics=results.statistics,
        notes=ReadNotes.from_dict(report["notes"]),
        shared=results.shared.figures(),
        tables=spec.tables,
    )
