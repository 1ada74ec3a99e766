"""The Beam job: read, one shuffle by bucket, write, publish.

On a cluster the runner shuffles, and all data cross it:

    parts of files ─ ReadDump ─▶ (bucket, Arrow blob) ─ GroupByKey ─▶ WriteBucket
                        └──────▶ (REPORT, JSON) ──────────┘              │ (bucket, JSON)
                                     Publish ─ GroupByKey ─ MergeResults ◀┘

Reports have a key of their own instead of a tagged output, because not every
runner keeps tagged outputs apart. MergeResults is a tree
(`rejoinder.pipelines.job.steps.results`). With `drop_duplicates`, the rows are grouped twice:
first to digest the pairs, whose equal digests a small shuffle finds
(`rejoinder.pipelines.shuffle.duplicates`), then together with the pairs to drop.

On one machine the same steps exchange files in the staging folder
(`rejoinder.pipelines.job.steps.tasks`), and only numbers of tasks cross the runner:

    parts ─ Read ─ GroupByKey ─ buckets ─ Write ─ GroupByKey ─ Publish
"""

import dataclasses
from collections.abc import Sequence

import apache_beam as beam

from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.job import tokenizer_files
from rejoinder.pipelines.job.steps import tasks
from rejoinder.pipelines.job.steps.deduplicate import add_duplicates
from rejoinder.pipelines.job.steps.finish import Publish
from rejoinder.pipelines.job.steps.read import ReadDump
from rejoinder.pipelines.job.steps.results import add_merges
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
    (_build_on_disk if spec.on_disk else _build_on_cluster)(pipeline, spec, parts, publication)


def _build_on_cluster(
    pipeline: beam.Pipeline, spec: JobSpec, parts: Sequence[Part], publication: Publication
) -> None:
    keyed = tuple[int, bytes]
    rows = (
        pipeline
        | "Parts" >> beam.Create(parts, reshuffle=False)
        | "Distribute" >> beam.Reshuffle()
        | "ReadDump" >> beam.ParDo(ReadDump(spec)).with_output_types(keyed)
    )
    if spec.drop_duplicates:
        rows = add_duplicates(rows, spec)
    results = (
        rows
        | ("GroupAgain" if spec.drop_duplicates else "GroupByBucket") >> beam.GroupByKey()
        | "WriteBucket"
        >> beam.ParDo(WriteBucket(spec, publication.tokenizer_files)).with_output_types(keyed)
    )
    _ = (
        add_merges(results, spec)
        | "Together" >> beam.MapTuple(lambda _, blob: (0, blob)).with_output_types(keyed)
        | "GroupResults" >> beam.GroupByKey()
        | "Publish" >> beam.ParDo(Publish(spec, publication))
    )


def _build_on_disk(
    pipeline: beam.Pipeline, spec: JobSpec, parts: Sequence[Part], publication: Publication
) -> None:
    tokenizer_files.store(spec.staging, publication.tokenizer_files)
    publication = dataclasses.replace(publication, tokenizer_files=())
    done = pipeline | "Start" >> beam.Create([(0, b"")])
    done = _run_all(done, "Read", spec, tasks.ReadParts(spec, tuple(parts)))
    merge = beam.ParDo(tasks.MergeReports(spec, len(parts)))
    done = (
        done
        | "AllRead" >> beam.GroupByKey()
        | "MergeReports" >> merge.with_output_types(tuple[int, bytes])
    )
    if spec.drop_duplicates:
        done = _run_all(done, "Digest", spec, tasks.DigestBuckets(spec, len(parts)))
        done = _run_all(done, "FindRepeats", spec, tasks.FindRepeats(spec))
    writing = tasks.WriteBuckets(spec, len(parts))
    _ = (
        _run_all(done, "Write", spec, writing)
        | "AllWritten" >> beam.GroupByKey()
        | "Publish" >> beam.ParDo(tasks.PublishFinished(spec, publication))
    )


def _run_all(
    done: beam.PCollection, label: str, spec: JobSpec, step: tasks.Tasks
) -> beam.PCollection:
    """Runs the tasks of a step after all elements of `done` are there."""
    count = step.count
    return (
        done
        | f"Before{label}" >> beam.GroupByKey()
        | f"{label}Tasks" >> beam.FlatMap(lambda _: range(count)).with_output_types(int)
        | f"Distribute{label}" >> beam.Reshuffle()
        | label
        >> beam.ParDo(tasks.RunTask(spec.staging, step)).with_output_types(tuple[int, bytes])
    )
