"""`rejoinder verify CORPUS`: proves that a corpus is whole, byte by byte."""

import argparse
from collections.abc import Iterator, Sequence

from rejoinder.corpus.features import ID_FEATURES, TEXT_FEATURES
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import COMPLETED, MANIFEST, parse_shard_name
from rejoinder.errors import UserError


def problems(folder: str) -> Iterator[str]:
    """Yields everything that is wrong with a corpus: nothing, if it can be trusted.

    Every shard's size, sha256, record checksums and number of examples are
    compared with the manifest, every example's features are decoded and checked, and the
    manifest and all other files are compared with their sha256 in `COMPLETED`.

    Raises:
        UserError: there is no finished corpus, or its manifest cannot be read.
    """
    from rejoinder import storage
    from rejoinder.pipelines.shards import reading

    manifest = reading.read_manifest(folder)
    found = {entry.path: entry.size for entry in storage.list_tree(folder)}
    expected = set()
    for split, shards in manifest.splits.items():
        for index, shard in enumerate(shards):
            path = storage.join(folder, shard.name)
            expected.add(path)
            if parse_shard_name(shard.name) != (split, index, len(shards)):
                yield f"manifest.json: {shard.name} is not the name of {split} shard {index}"
            if path not in found:
                yield f"{shard.name}: missing"
            else:
                yield from _shard_problems(path, shard, split, manifest)
    for path in found:
        name = path.rsplit("/", 1)[-1]
        if parse_shard_name(name) and path not in expected:
            yield f"{name}: is not in the manifest"
    yield from _document_problems(folder, set(found))
    lines = sum(entry.get("lines", 0) for entry in manifest.inputs)
    if sum(manifest.counters.values()) != lines:
        yield f"manifest.json: counters add up to {sum(manifest.counters.values())}, not {lines}"
    for split in manifest.splits:
        counted = manifest.counters.get(f"pair/{split}", 0)
        if counted != manifest.examples(split):
            yield (
                f"manifest.json: {manifest.examples(split)} examples in {split}, {counted} counted"
            )


def _document_problems(folder: str, found: set[str]) -> Iterator[str]:
    from rejoinder import storage
    from rejoinder.corpus import checksums

    completed = storage.read_bytes(storage.join(folder, COMPLETED)).decode("utf-8", "replace")
    digests = checksums.from_text(completed)
    if MANIFEST not in digests:
        yield f"{COMPLETED}: does not say which {MANIFEST} it belongs to"
    for name, digest in digests.items():
        path = storage.join(folder, name)
        if parse_shard_name(name):
            continue  # the manifest has those
        if path not in found:
            yield f"{name}: missing"
        elif checksums.sha256(storage.read_bytes(path)) != digest:
            yield f"{name}: sha256 differs from that in {COMPLETED}"


def _shard_problems(path: str, shard: Shard, split: str, manifest: Manifest) -> Iterator[str]:
    from rejoinder import storage
    from rejoinder.corpus import checksums
    from rejoinder.pipelines.shards import tfrecord

    data = storage.read_bytes(path)
    if len(data) != shard.bytes:
        yield f"{shard.name}: {len(data)} bytes, the manifest says {shard.bytes}"
    if checksums.sha256(data) != shard.sha256:
        yield f"{shard.name}: sha256 differs from the manifest's"
    count = 0
    try:
        for record in tfrecord.read_frames(data):
            problem = _record_problem(record, manifest, with_text=split in manifest.has_text)
            if problem:
                yield f"{shard.name}: example {count}: {problem}"
            count += 1
    except tfrecord.BadRecordError as error:
        yield f"{shard.name}: {error}"
    if count != shard.examples:
        yield f"{shard.name}: {count} examples, the manifest says {shard.examples}"


def _record_problem(record: bytes, manifest: Manifest, *, with_text: bool) -> str | None:
    from google.protobuf.message import DecodeError

    from rejoinder.pipelines.shards import reading

    try:
        example = reading.decode(record)
    except (DecodeError, IndexError, UnicodeDecodeError) as error:
        return f"cannot be decoded ({error})"
    for name in ID_FEATURES:
        ids = example.get(name)
        if not ids or len(ids) > manifest.max_length:
            return f"{name} has {len(ids or [])} ids, must have 1 to {manifest.max_length}"
        if not all(0 <= i < manifest.vocab_size for i in ids):
            return f"{name} has an id outside the vocabulary of {manifest.vocab_size}"
    missing = [name for name in TEXT_FEATURES[:2] if with_text and name not in example]
    return f"{missing[0]} is missing" if missing else None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="rejoinder verify",
        description="Compares every shard, record and example of a corpus with its manifest, and "
        "every other file with its checksum. "
        "Exit status 0 if all is well, 1 if anything is wrong.",
    )
    parser.add_argument("corpus", help="folder of a finished corpus")
    arguments = parser.parse_args(argv)
    from rejoinder.pipelines.job import thread_limit
    from rejoinder.pipelines.shards import reading

    thread_limit.limit_threads()
    folder = arguments.corpus.rstrip("/")
    wrong = 0
    for problem in problems(folder):
        print(problem)
        wrong += 1
    if wrong:
        raise UserError(f"{folder}: {wrong} problems; make the corpus again")
    manifest = reading.read_manifest(folder)
    counts = ", ".join(f"{split} {manifest.examples(split):,}" for split in manifest.splits)
    shards = sum(map(len, manifest.splits.values()))
    print(f"{folder}: whole ({shards} shards, pairs: {counts}, {COMPLETED})")
    return 0
