"""Proves an engine: a small generated dump through it and through this machine, then compared.

rejoinder doctor --runner FlinkRunner --folder gs://bucket/check --flink_master host:8081 …
"""

import contextlib
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rejoinder import storage
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.models.tokenizer.wordpiece import train_wordpiece
from rejoinder.pipelines import testing
from rejoinder.pipelines.job import runners
from rejoinder.pipelines.job.engines import placement

_THREADS, _AWKWARD_LINES = 1_000, 2_000
_SHARDS = 4
_FORMATS = ("", ".zst", ".bz2")


class Result(NamedTuple):
    """One line of the report.

    Attributes:
        check: What was checked.
        found: What was found.
        failed: Whether the engine is not usable.
    """

    check: str
    found: str
    failed: bool = False


def check_engine(name: str, folder: str, beam_arguments: Sequence[str]) -> Iterator[Result]:
    """Yields what running a generated dump on an engine and on this machine shows.

    Args:
        name: The value of `--runner`.
        folder: A folder that this machine and the workers reach; "" is a temporary folder
            where the workers are on this machine, otherwise below `--temp_location`.
        beam_arguments: The engine's options.
    """
    with tempfile.TemporaryDirectory(prefix="rejoinder-doctor-") as local:
        try:
            choice = runners.choose(name, 1, beam_arguments)
            place = placement.workers_place(choice)
            shared = _shared_folder(choice, folder, place) or local
        except UserError as error:
            yield Result(name, str(error), failed=True)
            return
        shared = storage.join(shared, f"rejoinder-doctor-{uuid.uuid4().hex[:8]}")
        yield Result("workers", f"{place or 'on this machine'}; files in {shared}")
        try:
            yield from _compare(choice, local, shared)
        except UserError as error:  # the folder cannot be written
            yield Result(name, str(error), failed=True)
        finally:
            with contextlib.suppress(UserError):
                storage.delete([entry.path for entry in storage.list_tree(shared)])


def _shared_folder(choice: runners.RunnerChoice, folder: str, place: str) -> str:
    if folder or not place:
        return folder
    temporary = choice.pipeline_options().get_all_options()["temp_location"] or ""
    if not temporary:
        raise UserError(
            f"--folder: is missing; the workers of --runner {choice.name} are {place}, and "
            "need a folder in a bucket: gs://… or s3://…"
        )
    return temporary


def _compare(choice: runners.RunnerChoice, local: str, shared: str) -> Iterator[Result]:
    """Runs the dump on this machine and on the engine, and compares the shards."""
    inputs = storage.join(shared, "in")
    lines = write_dump(inputs)
    options = ["--runner", choice.name, *choice.beam_arguments]
    found, seconds, error = _run(inputs, storage.join(shared, "corpus"), options)
    if error:
        yield Result(choice.name, error, failed=True)
        return
    yield Result(choice.name, f"{lines:,} lines, {len(found)} shards, {seconds:.0f} s")
    expected, seconds, error = _run(inputs, storage.join(local, "expected"), [])
    different = sorted(key for key in {*expected, *found} if expected.get(key) != found.get(key))
    if error:
        yield Result("this machine", error, failed=True)
    elif different:
        yield Result(
            "this machine",
            f"{len(different)} of {len(expected)} shards differ ({', '.join(different[:3])}); "
            "compare the workers' versions with those above",
            failed=True,
        )
    else:
        yield Result("this machine", f"all {len(expected)} shards are equal; {seconds:.0f} s")


def write_dump(folder: str) -> int:
    """Writes a tokenizer and a dump with rejected lines in three formats; returns its lines."""
    lines = [*testing.dialogue(_THREADS), *testing.awkward(_AWKWARD_LINES, 1)]
    for number, ending in enumerate(_FORMATS):
        content = testing.COMPRESS[ending](testing.ndjson(lines[number :: len(_FORMATS)]))
        storage.write_bytes(storage.join(folder, f"RC_{number}{ending}"), content)
    with tempfile.TemporaryDirectory() as local:
        train_wordpiece(["this is the comment number 1 2 3"] * 50, 200, local)
        for entry in list(storage.list_tree(local)):
            target = storage.join(folder, entry.path.rsplit("/", 1)[-1])
            storage.write_bytes(target, storage.read_bytes(entry.path))
    return len(lines)


def _run(inputs: str, output: str, options: Sequence[str]) -> tuple[dict[str, str], float, str]:
    """Runs `rejoinder preprocess` in a process of its own, and shows its progress.

    Returns:
        The sha256 of each shard, the seconds, and the error in one line ("" if there is none).
    """
    started = time.monotonic()
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--input", f"{inputs}/RC_*"]
    command += ["--output", output, "--tokenizer", inputs, "--num-shards", str(_SHARDS)]
    command += ["--max-bad-ratio", "0.1", *options]
    last = ""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            last = line.strip() or last
            if not line.startswith("error: "):
                sys.stderr.write(line)
    seconds = time.monotonic() - started
    if process.returncode:
        return {}, seconds, last.removeprefix("error: ") or f"status {process.returncode}"
    manifest = load_manifest(output)
    shards = {
        f"{split} {number}": shard.sha256
        for split, split_shards in manifest.splits.items()
        for number, shard in enumerate(split_shards)
    }
    return shards, seconds, ""
