"""Publishes staged files as a finished corpus, with its manifest, report and `COMPLETED`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder import publishing, storage
from rejoinder.corpus import checksums, data_card, thread_state
from rejoinder.corpus.contents import CORPUS
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import (
    COMPLETED,
    MANIFEST,
    REJECTS_FILE,
    SPLITS,
    TOKENIZER_FOLDER,
    shard_name,
)
from rejoinder.corpus.table_files import TableFiles
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.growth import corpus as growing
from rejoinder.pipelines.growth.corpus import Base
from rejoinder.pipelines.publish import report, tfds_metadata
from rejoinder.pipelines.publish.staging import StagedFile, describe
from rejoinder.pipelines.shards.statistics import PairStatistics

# Key of a bucket's file of the thread state among the bucket's staged files.
STATE_KEY = "state"


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
        keep_months: Months of comments that the corpus keeps; 0 if it cannot grow.
        extends: Folder of the corpus that the run extends, which is the output; "" for a new one.
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
    keep_months: int = 0
    extends: str = ""


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
    shared: Mapping[str, float],
    tables: TableFiles | None = None,
) -> None:
    """Names the staged files, adds the metadata and makes OUTPUT appear.

    Args:
        publication: Metadata that is known before the job runs.
        staging: Folder with the staged files.
        num_shards: Shards per split.
        shards: The staged shards of each bucket, by split, and their table files, by
            `table_key`; a bucket without comments is missing here and becomes an empty shard.
        rejects: The staged file of rejected lines.
        inputs: For the manifest.
        counters: For the manifest.
        statistics: For the report.
        notes: For the report.
        shared: For the report, from `SharedTexts.figures`.
        tables: The files for other programs; None if there are none.

    Raises:
        UserError: A staged file is missing, OUTPUT may not be replaced, or the file system
            failed.
    """
    base = Base.open(publication.extends) if publication.extends else None
    splits: dict[str, list[Shard]] = {split: [] for split in SPLITS}
    moves = {REJECTS_FILE: publishing.Move(rejects["staged"], rejects["bytes"])}
    digests = {REJECTS_FILE: rejects["sha256"]}
    empty: dict[str, bytes] = {}
    nothing = {table_key(split): tables.encode(b"") for split in SPLITS} if tables else {}
    first = {split: len(base.manifest.splits[split]) if base else 0 for split in SPLITS}
    for index in range(num_shards):
        names: dict[str, str] = {}
        for split in SPLITS:
            place = (split, first[split] + index, first[split] + num_shards)
            names[split] = shard_name(*place)
            if tables:
                names[table_key(split)] = tables.file_name(*place)
        if publication.keep_months:
            names[STATE_KEY] = thread_state.file_name(index, num_shards)
        for key, name in names.items():
            if index in shards:
                made = shards[index][key]
                moves[name] = publishing.Move(made["staged"], made["bytes"])
            else:
                empty[name] = nothing.get(key, b"")
                made = describe("", empty[name], 0)
            digests[name] = made["sha256"]
            if key in splits:
                shard = Shard(name, made["examples"], made["bytes"], made["sha256"])
                splits[key].append(shard)
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
    links: dict[str, str] = {}
    if publication.keep_months:
        found = growing.grow(manifest, base, publication.keep_months, notes, tables, num_shards)
        manifest, links = found.manifest, found.links
    if base:
        before = base.digests()
        digests |= {name: before[old] for name, old in links.items()}
        staged = moves.pop(REJECTS_FILE)
        empty[REJECTS_FILE] = base.rejects() + storage.read_bytes(staged.staged)
        digests[REJECTS_FILE] = checksums.sha256(empty[REJECTS_FILE])
        statistics, notes = base.statistics(statistics), base.notes(notes)
    documents = _documents(publication, manifest, statistics, notes, shared)
    if tables:
        documents[data_card.NAME] = data_card.data_card(manifest, tables)
    digests |= {name: checksums.sha256(text.encode()) for name, text in documents.items()}
    documents[COMPLETED] = checksums.to_text(digests)
    publishing.publish(
        publication.output,
        staging,
        CORPUS,
        overwrite=publication.overwrite,
        moves=moves,
        documents=empty | {name: text.encode() for name, text in documents.items()},
        last=COMPLETED,
        links=links,
    )


def table_key(split: str) -> str:
    """Returns the key of a bucket's table file of a split among the bucket's staged files."""
    return f"{split} table"


def _documents(
    publication: Publication,
    manifest: Manifest,
    statistics: PairStatistics,
    notes: ReadNotes,
    shared: Mapping[str, float],
) -> dict[str, str]:
    """Returns the corpus' text files by name, without `COMPLETED`."""
    return {
        MANIFEST: manifest.to_json(),
        **tfds_metadata.documents(manifest, publication.text_features),
        "report.json": report.to_json(manifest, statistics, notes, shared),
        "report.html": report.to_html(manifest, statistics, notes, shared),
        **{
            f"{TOKENIZER_FOLDER}/{name}": content.decode()
            for name, content in publication.tokenizer_files
        },
    }
