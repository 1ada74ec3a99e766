"""The Beam job of `rejoinder convert`: each shard becomes one table file, on any worker."""

from collections.abc import Sequence
from dataclasses import dataclass

import apache_beam as beam

from rejoinder import publishing, storage
from rejoinder.corpus import checksums, data_card
from rejoinder.corpus.examples import NotAnExampleError
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import COMPLETED, MANIFEST
from rejoinder.corpus.table_files import TableFiles
from rejoinder.corpus.tfrecord import BadRecordError
from rejoinder.errors import UserError
from rejoinder.output import FolderKind
from rejoinder.pipelines.publish.staging import StagedFile, stage

Named = tuple[str, StagedFile]


@dataclass(frozen=True)
class ConvertSpec:
    """The options of a job.

    Attributes:
        corpus: The corpus folder.
        tables: Format and columns of the files.
        output: The folder to write, resolved.
        staging: Its staging folder.
        overwrite: Whether converted files there may be replaced.
        card: The text of the data card.
    """

    corpus: str
    tables: TableFiles
    output: str
    staging: str
    overwrite: bool
    card: str


def listed_files(folder: str) -> frozenset[str] | None:
    """Returns the names of the files of a converted corpus, None if there is none."""
    completed = storage.join(folder, COMPLETED)
    if not storage.exists(completed):
        return None
    digests = checksums.from_text(storage.read_bytes(completed).decode("utf-8", "replace"))
    is_converted = data_card.NAME in digests and MANIFEST not in digests
    return frozenset({COMPLETED, *digests}) if is_converted else None


CONVERTED = FolderKind("converted corpus", listed_files)


def build(pipeline: beam.Pipeline, manifest: Manifest, spec: ConvertSpec) -> None:
    """Adds the job's steps to an empty pipeline; the folder appears after all files are made."""
    tasks = [
        (shard, spec.tables.file_name(split, index, len(entries)))
        for split, entries in manifest.splits.items()
        for index, shard in enumerate(entries)
    ]
    _ = (
        pipeline
        | "Shards" >> beam.Create(tasks)
        # Without it a runner may give all shards to one worker.
        | "Distribute" >> beam.Reshuffle()
        | "Convert" >> beam.Map(convert_shard, spec)
        | "CollectFiles" >> beam.combiners.ToList()
        | "Publish" >> beam.Map(publish, spec)
    )


def convert_shard(task: tuple[Shard, str], spec: ConvertSpec) -> Named:
    """Writes the table file of a shard to the staging folder.

    Args:
        task: The shard, and the name of its table file in the output.
        spec: The options of the job.

    Returns:
        The name and the staged file.

    Raises:
        UserError: The shard is missing or damaged.
    """
    shard, name = task
    path = storage.join(spec.corpus, shard.name)
    data = storage.read_bytes(path)
    if checksums.sha256(data) != shard.sha256:
        raise UserError(f"{path}: its sha256 differs from the manifest's; make the corpus again")
    try:
        encoded = spec.tables.encode(data)
    except (BadRecordError, NotAnExampleError) as error:
        raise UserError(f"{path}: {error}; make the corpus again") from error
    return name, stage(spec.staging, encoded, shard.examples)


def publish(files: Sequence[Named], spec: ConvertSpec) -> None:
    """Makes the output appear with all files, the data card and the list of checksums."""
    card = spec.card.encode()
    digests = {name: staged["sha256"] for name, staged in files}
    completed = checksums.to_text(digests | {data_card.NAME: checksums.sha256(card)})
    publishing.publish(
        spec.output,
        spec.staging,
        CONVERTED,
        overwrite=spec.overwrite,
        moves={name: publishing.Move(staged["staged"], staged["bytes"]) for name, staged in files},
        documents={data_card.NAME: card, COMPLETED: completed.encode()},
        last=COMPLETED,
    )
