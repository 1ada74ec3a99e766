"""From staged files to a finished corpus, in a way that no crash can leave half done.

Everything is written below a staging folder beside OUTPUT. On a local disk the
folder is complete, `COMPLETED` included, before one rename puts it in place. An
object store cannot rename folders: there the files are moved one by one and
`COMPLETED` comes last, so that a reader never sees a corpus that is not whole.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import COMPLETED, MANIFEST, SPLITS, TOKENIZER_FOLDER, shard_name
from rejoinder.errors import UserError
from rejoinder.pipelines.publish import report, tfds_metadata
from rejoinder.pipelines.shards.statistics import PairStatistics

# Where in the staging folder the corpus goes that a new one replaces.
_REPLACED = "replaced"


@dataclass(frozen=True)
class Publication:
    """What is known of a corpus before the job starts.

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
        options: Resolved options.
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


def staging_folder(output: str) -> str:
    """Returns where a run for `output` writes before publication."""
    return output.rstrip("/") + ".staging"


def check_output(output: str, *, overwrite: bool) -> None:
    """Refuses an output that a run may not touch.

    Raises:
        UserError: it is finished and not to be overwritten, or it is not a corpus at all.
    """
    if storage.exists(storage.join(output, COMPLETED)):
        if not overwrite:
            raise UserError(
                f"{output}: holds a finished corpus; choose another --output or give --overwrite"
            )
    elif storage.is_local(output) and os.path.lexists(output):
        if not os.path.isdir(output):
            raise UserError(f"{output}: is a file; --output names a folder")
        if os.listdir(output) and not overwrite:
            raise UserError(
                f"{output}: is not empty and holds no finished corpus; choose another --output, "
                "or give --overwrite to replace what is there"
            )


def stage(staging: str, data: bytes, examples: int) -> dict[str, Any]:
    """Writes a file under a name that no other attempt uses, and describes it."""
    path = storage.join(staging, f"staged-{uuid.uuid4().hex}")
    storage.write_bytes(path, data)
    return {
        "staged": path,
        "examples": examples,
        "bytes": len(data),
        "sha256": checksums.sha256(data),
    }


def publish(
    publication: Publication,
    *,
    staging: str,
    num_shards: int,
    shards: dict[int, dict[str, dict[str, Any]]],
    rejects: dict[str, Any],
    inputs: list[dict[str, Any]],
    counters: dict[str, int],
    statistics: PairStatistics,
) -> None:
    """Gives the staged files their names, adds the metadata and makes OUTPUT appear.

    Args:
        publication: What was known before.
        staging: Folder with the staged files.
        num_shards: Shards per split; a bucket without comments becomes an empty one.
        shards: For each bucket and split, what `stage` returned.
        rejects: What `stage` returned for the rejected lines, and their final `name`.
        inputs: For the manifest.
        counters: For the manifest.
        statistics: For the report.
    """
    for index in range(num_shards):
        if index not in shards:
            shards[index] = {split: stage(staging, b"", 0) for split in SPLITS}
    splits: dict[str, list[Shard]] = {}
    moves = {rejects["staged"]: rejects["name"]}
    for split in SPLITS:
        entries = []
        for index in range(num_shards):
            made = shards[index][split]
            name = shard_name(split, index, num_shards)
            moves[made["staged"]] = name
            entries.append(Shard(name, made["examples"], made["bytes"], made["sha256"]))
        splits[split] = entries
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
    documents = {
        MANIFEST: manifest.to_json(),
        **tfds_metadata.documents(manifest, publication.text_features),
        "report.json": report.to_json(manifest, statistics),
        "report.html": report.to_html(manifest, statistics),
        **{
            f"{TOKENIZER_FOLDER}/{name}": content.decode()
            for name, content in publication.tokenizer_files
        },
    }
    digests = {shard.name: shard.sha256 for entries in splits.values() for shard in entries}
    digests[rejects["name"]] = rejects["sha256"]
    digests |= {name: checksums.sha256(text.encode()) for name, text in documents.items()}
    finish = checksums.to_text(digests)
    try:
        if storage.is_local(publication.output):
            _publish_folder(publication, staging, moves, documents, finish)
        else:
            _publish_objects(publication, staging, moves, documents, finish)
    except OSError as error:
        raise UserError(
            f"{publication.output}: cannot be published ({error}); mend that and run again"
        ) from error


def _publish_folder(
    publication: Publication,
    staging: str,
    moves: dict[str, str],
    documents: dict[str, str],
    completed: str,
) -> None:
    ready = os.path.join(staging, "ready")
    # A second attempt of this very step starts from whatever the first has moved.
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
        os.rename(output, os.path.join(staging, _REPLACED))
    os.rename(ready, output)
    storage.sync(os.path.dirname(os.path.abspath(output)))


def _publish_objects(
    publication: Publication,
    staging: str,
    moves: dict[str, str],
    documents: dict[str, str],
    completed: str,
) -> None:
    """Publishes file by file; a second attempt goes on where the first one ended."""
    output = publication.output.rstrip("/")
    last = storage.join(output, COMPLETED)
    keep = {storage.join(output, name) for name in (*moves.values(), *documents)}
    if storage.exists(last):
        storage.delete([last])  # from here on nothing looks finished
    storage.delete([e.path for e in storage.list_tree(output) if e.path not in keep])
    for staged, name in moves.items():
        if storage.exists(staged):  # not moved by an earlier attempt
            storage.rename(staged, storage.join(output, name))
    for name, text in documents.items():
        storage.write_bytes(storage.join(output, name), text.encode())
    storage.write_bytes(last, completed.encode())
    clear_staging(staging)


@contextlib.contextmanager
def lock_staging(output: str) -> Iterator[None]:
    """Holds the staging folder of an output, empty at first, and removes it in the end.

    What a killed run left there is removed first. On a local disk the folder is
    locked, and the kernel drops the lock with the process, however that ends.

    Raises:
        UserError: another run is writing the same output.
    """
    staging = staging_folder(output)
    if not storage.is_local(staging):
        clear_staging(staging)
        yield  # the last step of the job clears it: this process may not wait for that
        return
    storage.make_folder(staging)
    descriptor = os.open(staging, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{staging}: another run is writing this output") from error
        except OSError as error:
            raise UserError(f"{staging}: cannot be locked ({error.strerror})") from error
        try:
            _put_back_replaced(output, staging)
            for entry in os.scandir(staging):
                shutil.rmtree(entry.path) if entry.is_dir() else os.unlink(entry.path)
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be removed ({error.strerror})") from error
        try:
            yield
        finally:
            _put_back_replaced(output, staging)
            clear_staging(staging)
    finally:
        os.close(descriptor)


def _put_back_replaced(output: str, staging: str) -> None:
    """Undoes the first of the two renames that replace a corpus, if the second never came."""
    replaced = os.path.join(staging, _REPLACED)
    if os.path.lexists(replaced) and not os.path.lexists(output):
        os.rename(replaced, output)


def clear_staging(staging: str) -> None:
    """Removes what a run, killed or finished, left in its staging folder."""
    if storage.is_local(staging):
        shutil.rmtree(staging, ignore_errors=True)
    else:
        storage.delete([entry.path for entry in storage.list_tree(staging)])
