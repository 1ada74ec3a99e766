"""Which Beam runner does the work, and with which options.

The default is Beam's in-memory `FnApiRunner`, asked for by name: `DirectRunner`
in Beam 2.77 first tries to download the Prism binary.
"""

import argparse
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from apache_beam.options.pipeline_options import PipelineOptions

from rejoinder.errors import UserError

LOCAL = "FnApiRunner"
_LOCAL_ALIASES = {"", "local", "fnapirunner", "directrunner", "bundlebaseddirectrunner"}

# One worker process is meant to use one core: that makes `--workers` the measure,
# and polars, Arrow and TensorFlow would otherwise each start a thread per core.
_ONE_THREAD = {
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


@dataclass(frozen=True)
class RunnerChoice:
    """A resolved `--runner`.

    Attributes:
        name: What Beam calls the runner.
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

    def pipeline_options(self) -> PipelineOptions:
        """Returns Beam's options."""
        arguments = list(self.beam_arguments)
        if self.is_local:
            if self.workers > 1:
                arguments += [
                    "--direct_running_mode=multi_processing",
                    f"--direct_num_workers={self.workers}",
                ]
        else:
            arguments.append(f"--runner={self.name}")
        return PipelineOptions(arguments)

    def create_runner(self):
        """Returns the runner object, or its name for Beam to look up."""
        if not self.is_local:
            return self.name
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()


def choose(name: str, workers: int, beam_arguments: Sequence[str]) -> RunnerChoice:
    """Checks a runner's name and Beam's arguments.

    Raises:
        UserError: an argument that neither this program nor Beam knows.
    """
    unknown = _unknown_arguments(beam_arguments)
    if unknown:
        raise UserError(
            f"{unknown[0]}: neither an option of this command (see --help) nor one of Beam's"
        )
    if workers < 1:
        raise UserError(f"--workers: must be at least 1, got {workers}")
    local = name.lower() in _LOCAL_ALIASES
    return RunnerChoice(LOCAL if local else name, workers, tuple(beam_arguments))


def _unknown_arguments(arguments: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    classes: list[Any] = [PipelineOptions]
    for options in classes:  # grows while it is walked
        classes.extend(sorted(options.__subclasses__(), key=lambda cls: cls.__name__))
    for options in classes:
        if "_add_argparse_args" in options.__dict__:
            # Two of Beam's classes may define the same flag; one is enough here.
            with contextlib.suppress(argparse.ArgumentError):
                options._add_argparse_args(parser)
    return [
        argument
        for argument in parser.parse_known_args(list(arguments))[1]
        if argument.startswith("-")
    ]


def limit_threads() -> None:
    """Makes this process and its children use one thread each for their columns and tokens.

    To be called before polars, pyarrow or TensorFlow are imported.
    """
    for name, value in _ONE_THREAD.items():
        os.environ[name] = value
    if "pyarrow" in sys.modules:
        import pyarrow as pa

        pa.set_cpu_count(1)


@contextlib.contextmanager
def worker_errors_aside(choice: RunnerChoice) -> Iterator[TextIO]:
    """Keeps the tracebacks that Beam's local worker processes print off the terminal.

    They repeat, at length, the error that the runner raises. If that is no
    `UserError`, it is a bug, and what the workers printed is shown.

    Yields:
        The terminal: standard error as it was before.
    """
    if not choice.is_local or choice.workers == 1:
        yield sys.stderr
        return
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile("w+") as aside, open(before, "w", buffering=1) as terminal:
        os.dup2(aside.fileno(), 2)
        try:
            yield terminal
        except Exception as error:
            if not isinstance(error, UserError):
                aside.seek(0)
                terminal.write(aside.read())
            raise
        finally:
            sys.stderr.flush()
            terminal.flush()
            os.dup2(before, 2)


def dataflow_steps(choice: RunnerChoice, build: Callable[[Any], None]) -> list[str]:
    """Translates a job into Dataflow's form without submitting it; returns its steps' names.

    Raises:
        UserError: Dataflow's options are missing or wrong.
    """
    import apache_beam as beam

    arguments = [*choice.beam_arguments, f"--runner={choice.name}", "--dry_run=True"]
    try:
        pipeline = beam.Pipeline(runner=choice.name, options=PipelineOptions(arguments))
    except ValueError as error:
        raise UserError(" ".join(str(error).split())) from error
    build(pipeline)
    result: Any = pipeline.run()
    transforms = result.job.proto_pipeline.components.transforms.values()
    return sorted(t.unique_name for t in transforms if t.spec.urn and "/" not in t.unique_name)


def user_message(error: BaseException) -> str | None:
    """Returns the text of a `UserError` that a worker raised, None for any other error.

    What a runner raises holds the worker's error as text only, with the step's name behind it.
    """
    if "prism binary" in str(error):  # Beam's words for a download that failed
        return (
            "--runner PrismRunner: Beam cannot download its Prism binary; give the path of one "
            "with --prism_location, or leave --runner out"
        )
    if isinstance(error, UserError):
        found = [str(error)]
    else:
        found = re.findall(r"(?:UserError|DamagedArchiveError): (.*)", str(error))
    return re.sub(r" \[while running .*", "", found[-1], flags=re.DOTALL) if found else None
