"""The step after the shuffle: writes a bucket's shards, and merges the readers' reports."""

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import apache_beam as beam

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.notes import KEPT, ReadNotes, sample_of_line
from rejoinder.pipelines.job.steps.results import Results
from rejoinder.pipelines.job.steps.spec import DUPLICATES, REPORT, ROWS, JobSpec
from rejoinder.pipelines.job.steps.versions import SameVersions
from rejoinder.pipelines.job.tokenizer_files import TokenizerFiles, tokenize_function
from rejoinder.pipelines.publish.publish import STATE_KEY, table_key
from rejoinder.pipelines.publish.staging import stage

if TYPE_CHECKING:
    from rejoinder.pipelines.growth.state import Growth


class WriteBucket(SameVersions, beam.DoFn):
    """(bucket, blobs) -> staged shard files and (bucket, JSON about them)."""

    def __init__(self, spec: JobSpec, tokenizer_files: TokenizerFiles) -> None:
        self._spec = spec
        self._tokenizer_files = tokenizer_files

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Writes one bucket's shards, or merges the readers' reports."""
        key, values = group
        blobs, duplicates = list(values), []
        if self._spec.drop_duplicates:
            duplicates = [blob[1:] for blob in blobs if blob[:1] == DUPLICATES]
            blobs = [blob[1:] for blob in blobs if blob[:1] == ROWS]
        if key == REPORT:
            result = merge_reports(self._spec, map(json.loads, blobs))
        else:
            files = self._tokenizer_files
            result = write_bucket(self._spec, files, key, blobs, duplicates).to_dict()
        yield key, json.dumps(result).encode()


def write_bucket(
    spec: JobSpec,
    tokenizer_files: TokenizerFiles,
    bucket: int,
    blobs: Sequence[bytes],
    duplicates: Sequence[bytes],
    growth: "Growth | None" = None,
) -> Results:
    """Stages the shards of one bucket.

    Args:
        spec: The job.
        tokenizer_files: The tokenizer.
        bucket: Number of the bucket.
        blobs: All its rows, in any order.
        duplicates: Blobs that name the pairs to leave out.
        growth: What a corpus that can grow needs.
    """
    tokenize = tokenize_function(tokenizer_files, spec.max_length)
    made = spec.extractor.process(blobs, tokenize, duplicates, growth)
    staged = {}
    for split, shard in made.shards.items():
        staged[split] = stage(spec.staging, shard.data, shard.examples)
        if spec.tables:
            data = spec.tables.encode(shard.data)
            staged[table_key(split)] = stage(spec.staging, data, shard.examples)
    if made.state is not None:
        staged[STATE_KEY] = stage(spec.staging, made.state, 0)
    return Results(Counter(made.counters), made.statistics, {bucket: staged}, shared=made.shared)


def merge_reports(spec: JobSpec, reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Adds up the readers' reports and stages the file of rejected lines.

    Raises:
        UserError: More lines were rejected than `max_bad_ratio` allows.
    """
    inputs, rejects, notes = [], [], ReadNotes()
    counters: Counter[str] = Counter()
    for report in reports:
        counters.update(report["counts"])
        rejects.extend(report["rejects"])
        notes.add(ReadNotes.from_dict(report["notes"]))
        if "input" in report:
            inputs.append(report["input"])
    rejects.sort()
    counters.update(f"rejected/{reason}" for _, _, reason, _ in rejects)
    if spec.with_samples:
        for name, found in itertools.groupby(sorted(rejects, key=_reason), key=_reason):
            samples = (sample_of_line(path, line, text) for path, line, _, text in found)
            notes.add_samples(f"rejected/{name}", heapq.nsmallest(KEPT, samples))
    lines = sum(entry["lines"] for entry in inputs)
    if len(rejects) > spec.max_bad_ratio * lines:
        table = ", ".join(
            f"{name.split('/')[1]} {count:,}"
            for name, count in counters.most_common()
            if name.startswith("rejected/")
        )
        raise UserError(
            f"{len(rejects):,} of {lines:,} lines were rejected ({table}), more than "
            f"--max-bad-ratio {spec.max_bad_ratio:g}, the first is {rejects[0][0]} line "
            f"{rejects[0][1]}; check the input, or allow a higher ratio"
        )
    keys = ("file", "line", "reason", "excerpt")
    text = "".join(
        json.dumps(dict(zip(keys, reject, strict=True)), ensure_ascii=False) + "\n"
        for reject in rejects
    )
    staged = stage(spec.staging, text.encode(), len(rejects))
    return {
        "inputs": sorted(inputs, key=lambda entry: entry["path"]),
        "lines": lines,
        "counters": counters,
        "rejects": staged,
        "notes": notes.to_dict(),
    }


def _reason(reject: list[Any]) -> str:
    return str(reject[2])
