"""Reads a finished corpus back: shards to decoded examples."""

from collections.abc import Iterator
from typing import Any

from rejoinder import storage
from rejoinder.corpus.features import ID_FEATURES
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.errors import UserError
from rejoinder.pipelines.shards import tfrecord


def read_manifest(folder: str) -> Manifest:
    """Reads the manifest of a finished corpus, on any file system of Beam.

    Raises:
        UserError: there is no finished corpus.
    """
    from rejoinder.corpus.naming import COMPLETED, MANIFEST

    if not storage.exists(storage.join(folder, COMPLETED)):
        raise UserError(f"{folder}: no finished corpus there (no {COMPLETED} file)")
    path = storage.join(folder, MANIFEST)
    return Manifest.from_json(storage.read_bytes(path).decode(), source=path)


def read_records(folder: str, shard: Shard) -> Iterator[bytes]:
    """Yields a shard's records; their checksums are compared.

    Raises:
        UserError: the file is damaged.
    """
    path = storage.join(folder, shard.name)
    try:
        yield from tfrecord.read_frames(storage.read_bytes(path))
    except tfrecord.BadRecordError as error:
        raise UserError(f"{path}: {error}; make the corpus again") from error


def decode(record: bytes) -> dict[str, Any]:
    """Returns an example's features: lists of ids, and texts."""
    from tensorflow.core.example import example_pb2

    feature = example_pb2.Example.FromString(record).features.feature
    return {
        name: list(value.int64_list.value)
        if name in ID_FEATURES
        else value.bytes_list.value[0].decode("utf-8")
        for name, value in feature.items()
    }


def read_examples(folder: str, split: str) -> Iterator[dict[str, Any]]:
    """Yields the decoded examples of a split in order."""
    for shard in read_manifest(folder).splits[split]:
        for record in read_records(folder, shard):
            yield decode(record)
