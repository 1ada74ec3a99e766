"""`rejoinder verify CORPUS`: compares every byte of a corpus with its checksums."""

import argparse
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rejoinder.corpus.features import CONTEXT, ID_FEATURES, RESPONSE, holds_ids
from rejoinder.corpus.manifest import Manifest, Shard, counted_lines, load_manifest
from rejoinder.corpus.naming import COMPLETED, MANIFEST, parse_shard_name
from rejoinder.errors import UserError
from rejoinder.pipelines.job import arguments, pool, worker_count

# A worker holds one shard, and what is decoded of it. It checks 4 MB of shards a second.
_COST = worker_count.WorkerCost(memory=300_000_000, work=16 << 20)


class Task(NamedTuple):
    """A shard to verify.

    Attributes:
        path: Its path.
        shard: Its entry in the manifest.
        split: Its split.
    """

    path: str
    shard: Shard
    split: str


def problems(folder: str, workers: int = 1) -> Iterator[str]:
    """Finds everything that is wrong with a corpus.

    The size, SHA-256, record checksums and number of examples of every shard are
    compared with the manifest; the features of every example are decoded and checked;
    the manifest and all other files are compared with their SHA-256 in `COMPLETED`.

    Args:
        folder: The corpus folder.
        workers: Processes that read the shards.

    Yields:
        One line per problem, in an order that does not depend on `workers`.

    Raises:
        UserError: There is no finished corpus, or its manifest cannot be read.
    """
    from rejoinder import storage

    manifest = load_manifest(folder)
    found = {entry.path for entry in storage.list_tree(folder)}
    expected, tasks = set(), []
    for split, shards in manifest.splits.items():
        for index, shard in enumerate(shards):
            path = storage.join(folder, shard.name)
            expected.add(path)
            if parse_shard_name(shard.name) != (split, index, len(shards)):
                yield f"{MANIFEST}: {shard.name} is not the name of {split} shard {index}"
            if path not in found:
                yield f"{shard.name}: missing"
            else:
                tasks.append(Task(path, shard, split))
    # The workers need no list of the shards.
    check = functools.partial(_shard_problems, dataclasses.replace(manifest, splits={}, inputs=[]))
    for found_problems in pool.call_in_order(check, tasks, workers):
        yield from found_problems
    for path in sorted(found - expected):
        name = path.rsplit("/", 1)[-1]
        if parse_shard_name(name):
            yield f"{name}: is not in the manifest"
    yield from _document_problems(folder, found)
    yield from _counter_problems(manifest)


def _shard_problems(manifest: Manifest, task: Task) -> list[str]:
    return list(_find_shard_problems(manifest, *task))


def _find_shard_problems(manifest: Manifest, path: str, shard: Shard, split: str) -> Iterator[str]:
    from rejoinder import storage
    from rejoinder.corpus import checksums, tfrecord

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

    from rejoinder.corpus import reading

    try:
        example = reading.decode(record)
    except (DecodeError, IndexError, UnicodeDecodeError) as error:
        return f"cannot be decoded ({error})"
    for name in {**dict.fromkeys(ID_FEATURES), **dict.fromkeys(filter(holds_ids, example))}:
        ids, least = example.get(name, []), 1 if name in ID_FEATURES else 0
        if not least <= len(ids) <= manifest.max_length:
            return f"{name} has {len(ids)} ids, must have {least} to {manifest.max_length}"
        if ids and (min(ids) < 0 or max(ids) >= manifest.vocab_size):
            return f"{name} has an id outside the vocabulary of {manifest.vocab_size}"
    missing = [name for name in (CONTEXT, RESPONSE) if with_text and name not in example]
    return f"{missing[0]} is missing" if missing else None


def _document_problems(folder: str, found: set[str]) -> Iterator[str]:
    """Compares all files but the shards with `COMPLETED`."""
    from rejoinder import storage
    from rejoinder.corpus import checksums

    completed = storage.read_bytes(storage.join(folder, COMPLETED)).decode("utf-8", "replace")
    digests = checksums.from_text(completed)
    if MANIFEST not in digests:
        yield f"{COMPLETED}: has no checksum of {MANIFEST}"
    for name, digest in digests.items():
        path = storage.join(folder, name)
        if parse_shard_name(name):
            continue  # compared with the manifest
        if path not in found:
            yield f"{name}: missing"
        elif checksums.sha256(storage.read_bytes(path)) != digest:
            yield f"{name}: sha256 differs from that in {COMPLETED}"


def _counter_problems(manifest: Manifest) -> Iterator[str]:
    lines = sum(entry.get("lines", 0) for entry in manifest.inputs)
    total = counted_lines(manifest.counters)
    if total != lines:
        yield f"{MANIFEST}: counters add up to {total}, the inputs have {lines} lines"
    for split in manifest.splits:
        examples, pair = manifest.examples(split), f"pair/{split}"
        counters = manifest.counters.items()
        counted = sum(n for name, n in counters if f"{name}/".startswith(f"{pair}/"))
        if counted != examples:
            yield f"{MANIFEST}: {examples} examples in {split}, {counted} counted"


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="rejoinder verify",
        description="Compares every shard, record and example of a corpus with its manifest, and "
        "every other file with its checksum. Exit status 0 if everything is as written, else 1.",
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "corpus", metavar="CORPUS", help="folder of a finished corpus, local or gs://"
    )
    arguments.add_workers_argument(parser.add_argument_group("running"))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parsed = build_parser().parse_args(argv)
    folder = parsed.corpus.rstrip("/")
    workers = worker_count.workers_of(
        parsed.workers, lambda: load_manifest(folder).stored_bytes(), _COST
    )
    count = 0
    for problem in problems(folder, workers):
        print(problem)
        count += 1
    if count:
        what = "1 problem" if count == 1 else f"{count:,} problems"
        raise UserError(f"{folder}: has {what}, listed above; make the corpus again")
    manifest = load_manifest(folder)
    shards = sum(map(len, manifest.splits.values()))
    pairs = ", ".join(f"{split} {manifest.examples(split):,}" for split in manifest.splits)
    print(f"{folder}: verified, {shards} shards, pairs: {pairs}")
    print(f"next: rejoinder inspect {folder}")
    print(f"      rejoinder train --config CONFIG --corpus {folder} --model-dir DIR")
    return 0
