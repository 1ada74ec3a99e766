"""The command-line options that `preprocess` and `pairs` share, and their values with types."""

import argparse
import os
from dataclasses import dataclass
from typing import Literal

from rejoinder.corpus.naming import TableFormat
from rejoinder.errors import UserError
from rejoinder.pipelines.job import options_file

BEAM_EPILOG = (
    "Any other --option goes to Apache Beam, for example --runner=DataflowRunner --project=… "
    "--region=… --temp_location=gs://…"
)
_DEFAULT_TOKENIZER = "sentence-transformers/all-mpnet-base-v2"


@dataclass(frozen=True)
class JobArguments:
    """The shared options of one command line; see `--help` for their meaning.

    Attributes:
        output: Folder of the new corpus.
        tokenizer: Folder or hub name.
        name: Name of the data set; "" is the last part of `output`.
        overwrite: Whether a finished corpus may be replaced.
        keep_damaged: Whether to use the readable part of a damaged archive.
        max_bad_ratio: Largest share of lines that may be rejected.
        dry_run: Whether to print the plan and stop.
        detach: Whether to return after submission to a cluster.
        restart: Whether to start from the beginning instead of continuing an interrupted run.
        quiet: Whether to print neither progress nor summary.
        with_samples: Whether the report shows texts that were dropped.
        table_format: Format of the files for other programs beside the shards; "" writes none.
    """

    output: str
    tokenizer: str
    name: str
    overwrite: bool
    keep_damaged: bool
    max_bad_ratio: float
    dry_run: bool
    detach: bool
    restart: bool
    quiet: bool
    with_samples: bool
    table_format: TableFormat | Literal[""]

    def __post_init__(self) -> None:
        check_names(output=self.output, tokenizer=self.tokenizer, name=self.name)
        if not 0 <= self.max_bad_ratio <= 1:
            raise UserError(f"--max-bad-ratio: must be 0 to 1, got {self.max_bad_ratio:g}")

    @classmethod
    def of(cls, parsed: argparse.Namespace) -> "JobArguments":
        """Returns the values of the options that the functions of this module add."""
        return cls(
            output=parsed.output,
            tokenizer=parsed.tokenizer,
            name=parsed.name or "",
            overwrite=parsed.overwrite,
            keep_damaged=parsed.on_truncated == "keep",
            max_bad_ratio=parsed.max_bad_ratio,
            dry_run=parsed.dry_run,
            detach=parsed.detach,
            restart=parsed.restart,
            quiet=parsed.quiet,
            with_samples=not parsed.no_samples,
            table_format=parsed.format,
        )


def check_names(**options: str) -> None:
    """Checks that the values of options are UTF-8, as they are written to JSON files.

    Raises:
        UserError: A value is not UTF-8.
    """
    for name, value in options.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(value).decode("utf-8", "backslashreplace")
            raise UserError(f"--{name} {shown}: is not UTF-8; rename it") from None


def add_path_arguments(parser: argparse.ArgumentParser, input_help: str) -> None:
    """Adds --input, --output, --tokenizer, --name and --overwrite."""
    paths = parser.add_argument_group("paths")
    add_input_argument(paths, input_help)
    paths.add_argument("--output", required=True, metavar="DIR", help="folder of the new corpus")
    paths.add_argument(
        "--tokenizer",
        default=_DEFAULT_TOKENIZER,
        metavar="DIR",
        help="Hugging Face tokenizer folder or hub name (default %(default)s)",
    )
    paths.add_argument("--name", help="name of the data set (default: last part of --output)")
    paths.add_argument("--overwrite", action="store_true", help="replace a finished corpus")
    options_file.add_argument(paths)


def add_input_argument(group: argparse._ArgumentGroup, input_help: str) -> None:
    """Adds --input, which may be given several times."""
    group.add_argument(
        "--input", nargs="+", action="extend", required=True, metavar="PATH", help=input_help
    )


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of shards, damaged input and running."""
    shards = parser.add_argument_group("shards")
    shards.add_argument(
        "--max-length", type=int, default=128, help="most tokens per side (default 128)"
    )
    shards.add_argument(
        "--keep-text", action="store_true", help="store texts, authors and ids for train too"
    )
    shards.add_argument(
        "--num-shards", type=int, default=0, help="shards per split (default: by input size)"
    )
    shards.add_argument(
        "--format",
        choices=["parquet", "jsonl"],
        default="",
        help="also write the pairs as files for other programs, as `rejoinder convert` does",
    )
    report = parser.add_argument_group("report")
    report.add_argument(
        "--no-samples",
        action="store_true",
        help="show no texts that were dropped, for private data",
    )
    damage = parser.add_argument_group("damaged input")
    add_truncation_argument(damage)
    damage.add_argument(
        "--max-bad-ratio",
        type=float,
        default=0.01,
        metavar="R",
        help="largest share of lines that may be rejected (default 0.01)",
    )
    running = parser.add_argument_group("running")
    add_runner_arguments(running)
    add_workers_argument(running)
    running.add_argument(
        "--dry-run",
        action="store_true",
        help="print options, inputs, plan and estimated time, and stop",
    )
    running.add_argument(
        "--detach",
        action="store_true",
        help="submit the job to a cluster and return; its last step publishes the corpus",
    )
    add_restart_argument(running)
    running.add_argument("--quiet", action="store_true", help="no progress line, no summary")


def add_truncation_argument(group: argparse._ArgumentGroup) -> None:
    """Adds --on-truncated."""
    group.add_argument(
        "--on-truncated",
        choices=["error", "keep"],
        default="error",
        help="keep: use the readable part of a damaged archive (default error)",
    )


def add_restart_argument(group: argparse._ArgumentGroup) -> None:
    """Adds --restart."""
    group.add_argument(
        "--restart",
        action="store_true",
        help="start from the beginning, also if an interrupted run can be continued",
    )


def add_runner_arguments(group: argparse._ArgumentGroup) -> None:
    """Adds --runner."""
    group.add_argument(
        "--runner", default="", help="Beam runner (default: FnApiRunner, on this machine)"
    )


def add_workers_argument(group: argparse._ArgumentGroup) -> None:
    """Adds --workers, whose value is None for `auto`."""
    group.add_argument(
        "--workers",
        type=_workers,
        default="auto",
        metavar="N",
        help="local worker processes (default auto: 1 for small inputs, otherwise as many as "
        "cores and memory allow)",
    )


def _workers(text: str) -> int | None:
    return None if text == "auto" else int(text)
