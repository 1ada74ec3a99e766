"""Publishes staged files as a finished corpus; a crash at any moment leaves no half corpus.

On a local disk the folder is complete, `COMPLETED` included, before one rename
puts it in place. An object store cannot rename folders: there the files are moved
one by one and `COMPLETED` is written last, so that no reader sees a part of a corpus.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import (
    COMPLETED,
    MANIFEST,
    REJECTS_FOLDER,
    SPLITS,
    TOKENIZER_FOLDER,
    shard_name,
)
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.publish import report, tfds_metadata
from rejoinder.pipelines.publish.staging import (
    REPLACED,
    StagedFile,
    check_output,
    clear_staging,
    stage,
)
from rejoinder.pipelines.shards.statistics import PairStatistics

_REJECTS = f"{REJECTS_FOLDER}/rejects.ndjson"


@dataclass(frozen=True)
class Publication:
    """Metadata of a corpus that is known before the job runs.

    Attributes:
        output: The corpus folder.
        name: Name of the data set.
        overwrite: Whether a finished corpus may be replaced.
        max_length: See `rejoinder.corpus.manifest.Manifest`, as for all below.
        tokenizer: Fingerprint.
        pad_id: Padding id.
        vocab_size: Entries of the vocabulary.
        has_text: Splits that carry the text features.
        text_features: Names of the text features.
        options: All options as JSON values.
        tokenizer_files: Name and content of the tokenizer folder's files.
        versions: Software versions.
    """

    output: str
    name: str
    overwrite: bool
    max_length: int
    tokenizer: str
    pad_id: int
    vocab_size: int
    has_text: list[str]
    text_features: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    tokenizer_files: tuple[tuple[str, bytes], ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


def publish(
    publication: Publication,
    *,
    staging: str,
    num_shards: int,
    shards: Mapping[int, Mapping[str, StagedFile]],
    rejects: StagedFile,
    inputs: list[dict[str, Any]],
    counters: Mapping[str, int],
    statistics: PairStatistics,
    notes: ReadNotes,
) -> None:
    """Names the staged files, adds the metadata and makes OUTPUT appear.

    Args:
        publication: Metadata that is known before the job runs.
        staging: Folder with the staged files.
        num_shards: Shards per split.
        shards: The staged shards of each bucket and split; a bucket without comments is
            missing here and becomes an empty shard.
        rejects: The staged file of rejected lines.
        inputs: For the manifest.
        counters: For the manifest.
        statistics: For the report.
        notes: For the report.

    Raises:
        UserError: The file system failed.
    """
    splits: dict[str, list[Shard]] = {split: [] for split in SPLITS}
    moves = {rejects["staged"]: _REJECTS}
    for index in range(num_shards):
        for split in SPLITS:
            staged = shards[index][split] if index in shards else stage(staging, b"", 0)
            name = shard_name(split, index, num_shards)
            moves[staged["staged"]] = name
            shard = Shard(name, staged["examples"], staged["bytes"], staged["sha256"])
            splits[split].append(shard)
    manifest = Manifest(
        name=publication.name,
        splits=splits,
        max_length=publication.max_length,
        tokenizer=publication.tokenizer,
        pad_id=publication.pad_id,
        vocab_size=publication.vocab_size,
        has_text=publication.has_text,
        options=publication.options,
        inputs=inputs,
        counters=dict(sorted(counters.items())),
        versions=publication.versions,
    )
    documents = _documents(publication, manifest, statistics, notes)
    digests = {shard.name: shard.sha256 for entries in splits.values() for shard in entries}
    digests[_REJECTS] = rejects["sha256"]
    digests |= {name: checksums.sha256(text.encode()) for name, text in documents.items()}
    local = storage.is_local(publication.output)
    publish_files = _publish_folder if local else _publish_objects
    try:
        publish_files(publication, staging, moves, documents, checksums.to_text(digests))
    except OSError as error:
        raise UserError(
            f"{publication.output}: cannot be published ({error}); fix that and run again"
        ) from error


def _documents(
    publication: Publication, manifest: Manifest, statistics: PairStatistics, notes: ReadNotes
) -> dict[str, str]:
    """Returns the corpus' text files by name, without `COMPLETED`."""
    return {
        MANIFEST: manifest.to_json(),
        **tfds_metadata.documents(manifest, publication.text_features),
        "report.json": report.to_json(manifest, statistics, notes),
        "report.html": report.to_html(manifest, statistics, notes),
        **{
            f"{TOKENIZER_FOLDER}/{name}": content.decode()
            for name, content in publication.tokenizer_files
        },
    }


def _publish_folder(
    publication: Publication,
    staging: str,
    moves: dict[str, str],
    documents: dict[str, str],
    completed: str,
) -> None:
    ready = os.path.join(staging, "ready")
    # A second attempt of this step continues with the files that the first did not move.
    for staged, name in moves.items():
        path = os.path.join(ready, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(staged):
            os.replace(staged, path)
    for name, text in documents.items():
        storage.write_bytes(os.path.join(ready, name), text.encode())
    storage.write_bytes(os.path.join(ready, COMPLETED), completed.encode())
    storage.sync_tree(ready)
    output = publication.output.rstrip("/")
    if os.path.lexists(output):
        check_output(output, overwrite=publication.overwrite)
        os.rename(output, os.path.join(staging, REPLACED))
    os.rename(ready, output)
    storage.sync(os.path.dirname(os.path.abspath(output)))


def _publish_objects(
    publication: Publication,
    staging: str,
    moves: dict[str, str],
    documents: dict[str, str],
    completed: str,
) -> None:
    """Moves file by file; a second attempt continues with the files that are left."""
    output = publication.output.rstrip("/")
    last = storage.join(output, COMPLETED)
    keep = {storage.join(output, name) for name in (*moves.values(), *documents)}
    if storage.exists(last):
        storage.delete([last])  # without it readers do not take the rest for a corpus
    storage.delete([e.path for e in storage.list_tree(output) if e.path not in keep])
    for staged, name in moves.items():
        if storage.exists(staged):  # not moved by an earlier attempt
            storage.rename(staged, storage.join(output, name))
    for name, text in documents.items():
        storage.write_bytes(storage.join(output, name), text.encode())
    storage.write_bytes(last, completed.encode())
    clear_staging(staging)
