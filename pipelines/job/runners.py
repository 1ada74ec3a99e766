"""Chooses the Beam runner and its options.

The default is Beam's in-memory `FnApiRunner`, requested by name: `DirectRunner`
in Beam 2.77 first tries to download the Prism binary.
"""

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rejoinder.errors import UserError
from rejoinder.pipelines.job import worker_count

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineRunner

LOCAL = "FnApiRunner"
_LOCAL_ALIASES = {"", "local", "fnapirunner", "directrunner", "bundlebaseddirectrunner"}


@dataclass(frozen=True)
class RunnerChoice:
    """A checked `--runner` with its options.

    Attributes:
        name: Beam's name of the runner.
        workers: Local worker processes; 1 runs in this process.
        beam_arguments: Further command-line arguments for Beam.
    """

    name: str
    workers: int
    beam_arguments: tuple[str, ...]

    @property
    def is_local(self) -> bool:
        """Whether it is the in-memory runner."""
        return self.name == LOCAL

    @property
    def forks_workers(self) -> bool:
        """Whether `rejoinder.pipelines.job.workers` starts the worker processes."""
        return self.is_local and self.workers > 1

    def pipeline_options(self, *extra: str) -> "PipelineOptions":
        """Returns Beam's options, with `extra` command-line arguments at the end."""
        from apache_beam.options.pipeline_options import PipelineOptions

        arguments = list(self.beam_arguments)
        if self.is_local:
            arguments.append(f"--direct_num_workers={self.workers}")
        else:
            arguments.append(f"--runner={self.name}")
        return PipelineOptions([*arguments, *extra])

    def create_runner(self) -> "PipelineRunner | str":
        """Returns the runner object, or its name for Beam to look up."""
        if not self.is_local:
            return self.name
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()


def choose(name: str, workers: int | None, beam_arguments: Sequence[str]) -> RunnerChoice:
    """Checks a runner's name and Beam's arguments.

    Args:
        name: The value of `--runner`; "" is the local default.
        workers: The value of `--workers`; None is `auto`, and 1 until `choose_workers`.
        beam_arguments: Arguments that the command itself does not know.

    Raises:
        UserError: Neither this program nor Beam knows an argument, or `workers` is below 1.
    """
    unknown = _unknown_arguments(beam_arguments)
    if unknown and unknown[0].startswith("-"):
        raise UserError(
            f"{unknown[0]}: neither an option of this command (see --help) nor one of Beam's"
        )
    if unknown:
        raise UserError(
            f"{unknown[0]}: belongs to no option (see --help); a path with a space must be "
            "quoted, and given to the command itself, because make splits INPUT at spaces"
        )
    if workers is not None and workers < 1:
        raise UserError(f"--workers: must be at least 1, got {workers}")
    local = name.lower() in _LOCAL_ALIASES
    return RunnerChoice(LOCAL if local else name, workers or 1, tuple(beam_arguments))


def choose_workers(
    runner: RunnerChoice, workers: int | None, size: int, *, quiet: bool = False
) -> RunnerChoice:
    """Returns the runner with the number of workers for an input.

    Args:
        runner: From `choose`.
        workers: The value of `--workers`; None is `auto`, and prints what it chooses and why.
        size: Decompressed bytes of the input.
        quiet: Whether to print nothing.
    """
    if workers is not None or not runner.is_local:
        return runner
    count, line = worker_count.choose_workers(size, worker_count.JOB)
    if not quiet:
        print(line, file=sys.stderr)
    return dataclasses.replace(runner, workers=count)


def _unknown_arguments(arguments: Sequence[str]) -> list[str]:
    if not arguments:
        return []  # without Beam, whose import would delay the start of the workers' server

    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    classes: list[Any] = [PipelineOptions]  # they take any parser, but declare one of Beam's own
    for options in classes:  # the list grows during the loop
        classes.extend(sorted(options.__subclasses__(), key=lambda cls: cls.__name__))
    for options in classes:
        if "_add_argparse_args" in options.__dict__:
            # Two of Beam's classes may define the same flag; one is enough here.
            with contextlib.suppress(argparse.ArgumentError):
                options._add_argparse_args(parser)
    return parser.parse_known_args(list(arguments))[1]
