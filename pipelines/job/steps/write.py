"""The step after the shuffle: writes a bucket's shards, and merges the readers' reports."""

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.notes import KEPT, ReadNotes, sample_of_line
from rejoinder.pipelines.job.progress import Progress
from rejoinder.pipelines.job.steps.spec import DUPLICATES, REPORT, ROWS, JobSpec, load_blobs
from rejoinder.pipelines.job.tokenizer_files import TokenizerFiles, tokenize_function
from rejoinder.pipelines.publish.staging import stage


class WriteBucket(beam.DoFn):
    """(bucket, blobs) -> staged shard files and (0, JSON about them)."""

    def __init__(self, spec: JobSpec, tokenizer_files: TokenizerFiles) -> None:
        self._spec = spec
        self._tokenizer_files = tokenizer_files

    def setup(self) -> None:
        """Opens the progress files."""
        self._progress = Progress(self._spec.staging)

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        """Writes one bucket's shards, or merges the readers' reports."""
        key, values = group
        blobs, duplicates = list(values), []
        if self._spec.drop_duplicates:
            duplicates = [blob[1:] for blob in blobs if blob[:1] == DUPLICATES]
            blobs = [blob[1:] for blob in blobs if blob[:1] == ROWS]
        if key == REPORT:
            result = merge_reports(self._spec, blobs)
        else:
            result = self._bucket(key, blobs, duplicates)
        yield 0, json.dumps(result).encode()

    def _bucket(self, bucket: int, blobs: list[bytes], duplicates: list[bytes]) -> dict[str, Any]:
        tokenize = tokenize_function(self._tokenizer_files, self._spec.max_length)
        rows = load_blobs(self._spec, blobs)
        made = self._spec.extractor.process(rows, tokenize, duplicates)
        result = {
            "bucket": bucket,
            "shards": {
                split: stage(self._spec.staging, shard.data, shard.examples)
                for split, shard in made.shards.items()
            },
            "counters": made.counters,
            "statistics": made.statistics.to_dict(),
        }
        self._progress.bucket_done(bucket)
        return result


def merge_reports(spec: JobSpec, blobs: Iterable[bytes]) -> dict[str, Any]:
    """Adds up the readers' reports and stages the file of rejected lines.

    Raises:
        UserError: More lines were rejected than `max_bad_ratio` allows.
    """
    inputs, rejects, notes = [], [], ReadNotes()
    counters: Counter[str] = Counter()
    for blob in blobs:
        report = json.loads(blob)
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
