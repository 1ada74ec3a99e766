"""The Beam job: read, one shuffle by bucket, write, publish.

    parts of files ─ ReadDump ─▶ (bucket, Arrow blob) ─ GroupByKey ─▶ WriteBucket
                        └──────▶ (REPORT, JSON) ──────────┘              │ (0, JSON)
                                                       GroupByKey ─ Publish ◀┘

Reports have a key of their own instead of a tagged output, because not every
runner keeps tagged outputs apart. With `drop_duplicates`, two more stages before
WriteBucket find equal pairs by their digests (`rejoinder.pipelines.shuffle.duplicates`).
"""

from collections.abc import Sequence

import apache_beam as beam

from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.job.steps.deduplicate import DigestPairs, FindDuplicates
from rejoinder.pipelines.job.steps.finish import Publish
from rejoinder.pipelines.job.steps.read import ReadDump
from rejoinder.pipelines.job.steps.spec import JobSpec
from rejoinder.pipelines.job.steps.write import WriteBucket
from rejoinder.pipelines.publish.publish import Publication


def build(
    pipeline: beam.Pipeline,
    spec: JobSpec,
    parts: Sequence[Part],
    publication: Publication,
) -> None:
    """Adds the job to a pipeline.

    Args:
        pipeline: An empty pipeline.
        spec: What the workers need to know.
        parts: The parts of the input files.
        publication: Metadata of the corpus that is known before the job runs.
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
