"""Plans a job: everything that is decided before anything is read or written."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rejoinder import storage
from rejoinder.corpus import thread_state
from rejoinder.corpus.naming import SPLITS, TableFormat
from rejoinder.corpus.table_files import TableFiles
from rejoinder.errors import UserError
from rejoinder.output import resolve, staging_folder
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.growth.spec import GrowthSpec
from rejoinder.pipelines.job.arguments import JobArguments
from rejoinder.pipelines.job.extractor import Extractor
from rejoinder.pipelines.job.runners import RunnerChoice
from rejoinder.pipelines.job.steps.spec import JobSpec
from rejoinder.units import format_bytes, format_duration

# Decompressed bytes that one core processes in a second (benchmarks/preprocess.py).
_BYTES_PER_CORE_SECOND = 100e6
# Bytes in memory for a byte of the thread state.
_STATE_EXPANSION = 4


class JobOptions(Protocol):
    """The options of an extractor that the job needs, too."""

    @property
    def max_length(self) -> int:
        """Most token ids per side."""

    @property
    def num_shards(self) -> int:
        """Shards per split; 0 chooses by input size."""

    @property
    def limit(self) -> int:
        """Lines read of each file; 0 reads all."""

    @property
    def keep_text(self) -> bool:
        """Whether the train split carries the text features too."""

    @property
    def drop_duplicates(self) -> bool:
        """Whether equal pairs are kept once in the whole corpus."""

    def to_dict(self) -> Mapping[str, object]:
        """Returns all options as JSON values."""


@dataclass(frozen=True)
class Plan:
    """A planned job.

    Attributes:
        output: The corpus folder, resolved.
        name: Name of the data set.
        overwrite: Whether a finished corpus may be replaced.
        files: Input files.
        parts: The workers' shares of the files.
        runner: The runner and its options.
        options: All options as JSON values, `num_shards` resolved; recorded in the manifest.
        has_text: Splits that carry the text features.
        text_features: Names of the text features.
        spec: What the workers need to know.
    """

    output: str
    name: str
    overwrite: bool
    files: tuple[storage.FileEntry, ...]
    parts: tuple[input_files.Part, ...]
    runner: RunnerChoice
    options: Mapping[str, object]
    has_text: tuple[str, ...]
    text_features: tuple[str, ...]
    spec: JobSpec

    @property
    def input_bytes(self) -> int:
        """Stored bytes of all input files."""
        return sum(file.size for file in self.files)


def plan_job(
    arguments: JobArguments,
    files: Sequence[storage.FileEntry],
    runner: RunnerChoice,
    extractor: Extractor,
    options: JobOptions,
    text_features: Sequence[str],
    growth: GrowthSpec | None = None,
) -> Plan:
    """Plans a job, without reading or writing anything.

    Args:
        arguments: The shared options of the command line.
        files: The input files.
        runner: The runner and its options.
        extractor: Reads lines and makes pairs.
        options: The extractor's options.
        text_features: Names of the features beside the token ids.
        growth: What is known of a corpus that can grow; None for any other.

    Raises:
        UserError: The corpus can grow, but the output or the runner is not local.
    """
    output = resolve(arguments.output)
    num_buckets = options.num_shards or _choose_buckets(files, growth)
    staging = staging_folder(output)
    spec = JobSpec(
        extractor=extractor,
        num_buckets=num_buckets,
        max_length=options.max_length,
        limit=options.limit,
        drop_duplicates=options.drop_duplicates and extractor.duplicates_cross_buckets,
        staging=staging,
        on_disk=runner.is_local and storage.is_local(staging),
        keep_damaged=arguments.keep_damaged,
        max_bad_ratio=arguments.max_bad_ratio,
        with_samples=arguments.with_samples,
        tables=_table_files(arguments.table_format, options, text_features),
        growth=growth,
    )
    if growth and not spec.on_disk:
        raise UserError(
            "--keep-months, --extend: need a corpus on a local disk and a runner of this machine"
        )
    return Plan(
        output=output,
        # Of the path as written, because a link has a name of its own.
        name=arguments.name or os.path.basename(os.path.abspath(arguments.output)),
        overwrite=arguments.overwrite,
        files=tuple(files),
        parts=tuple(input_files.divide(files, runner.workers if runner.is_local else None)),
        runner=runner,
        options={
            **options.to_dict(),
            "num_shards": num_buckets,
            **({"format": arguments.table_format} if arguments.table_format else {}),
        },
        has_text=tuple(split for split in SPLITS if split != "train" or options.keep_text),
        text_features=tuple(text_features),
        spec=spec,
    )


def _choose_buckets(files: Sequence[storage.FileEntry], growth: GrowthSpec | None) -> int:
    """Returns the number of buckets; a power of two if the corpus can grow.

    Each bucket of an extension then needs whole files of the state, or a part of one, and not a
    part of all of them.
    """
    if growth is None:
        return input_files.choose_buckets(files)
    wanted = input_files.choose_buckets([*files, *_state_files(growth)])
    return 1 << (wanted - 1).bit_length()


def _state_files(growth: GrowthSpec) -> list[storage.FileEntry]:
    """Returns the files of the state of the corpus to extend: buckets hold their rows, too."""
    names = (thread_state.file_name(index, growth.files) for index in range(growth.files))
    paths = (storage.join(growth.corpus, name) for name in names)
    return [storage.FileEntry(path, _STATE_EXPANSION * storage.size(path)) for path in paths]


def _table_files(
    table_format: TableFormat | Literal[""], options: JobOptions, text_features: Sequence[str]
) -> TableFiles | None:
    if not table_format:
        return None
    if not options.keep_text:
        raise UserError(
            f"--format {table_format}: needs the texts of the train split; give --keep-text too"
        )
    return TableFiles.of(table_format, text_features)


def describe(plan: Plan) -> str:
    """Returns the text that `--dry-run` prints."""
    text_bytes = input_files.text_bytes(plan.files)
    seconds = text_bytes / _BYTES_PER_CORE_SECOND / plan.runner.workers
    buckets = plan.spec.num_buckets
    lines = [f"output   {plan.output}", "inputs"]
    lines += [f"  {format_bytes(file.size):>10}  {file.path}" for file in plan.files]
    lines += [
        f"  {format_bytes(plan.input_bytes):>10}  in {len(plan.files)} files, "
        f"about {format_bytes(text_bytes)} decompressed",
        "options",
        *(f"  {name:<24}{json.dumps(value)}" for name, value in sorted(plan.options.items())),
        "plan",
        f"  runner                  {plan.runner.name}, {plan.runner.workers} local worker(s)",
        f"  reading                 {len(plan.parts)} parts",
        f"  buckets                 {buckets}, one shard of each split from each, "
        f"about {format_bytes(text_bytes // buckets)} of text in a bucket",
        f"  estimated time          {format_duration(seconds)} "
        f"({seconds * plan.runner.workers / 3600:.2f} core-hours)",
    ]
    return "\n".join(lines)
