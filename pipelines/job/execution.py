"""Runs Beam pipelines: the one place that builds, runs and waits for them, and words their errors.

Runners raise the same error in many forms: as the worker's exception, as text
with the name of a step behind it, or as text inside a traceback. Here each
becomes one `UserError`; an error that is not the user's keeps its traceback.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TextIO

import apache_beam as beam

from rejoinder.errors import UserError
from rejoinder.pipelines.job.runners import RunnerChoice

Build = Callable[[beam.Pipeline], None]

# Texts of Beam's own errors that the user can fix, and what to tell the user.
_RUNNER_ERRORS = {
    r"fetch remote prism binary": (
        "--runner PrismRunner: Beam cannot download its Prism binary; give the path of one "
        "with --prism_location, or leave --runner out"
    ),
    r'Unable to parse binary URL "(.*?)"': (
        r"--prism_location \1: no such file; give the path of a Prism binary, or leave "
        "--runner out"
    ),
    r"Unable to fetch remote job server jar at .*?beam-runners-(flink|spark)": (
        r"--runner: Beam cannot download the job server for \1; give the path of its jar with "
        r"--\1_job_server_jar"
    ),
    r"Unexpected pipeline runner: (.*?)\. Valid values are (.*?) or the fully": (
        r"--runner \1: is not a runner of Beam; its runners are \2"
    ),
    r"^FutureTimeoutError: ": (
        "--job_endpoint: no job service answers there; check the address, and that the service runs"
    ),
}


def run_pipeline(
    runner: RunnerChoice,
    build: Build,
    *,
    wait: bool = True,
    progress: Callable[[TextIO], AbstractContextManager[object]] | None = None,
) -> None:
    """Builds a pipeline and runs it.

    Args:
        runner: The runner and its options.
        build: Adds the steps to an empty pipeline.
        wait: Whether to wait for the end; False returns after submission.
        progress: Returns a context manager that is open while the pipeline runs,
            for a stream that shows its output.

    Raises:
        UserError: The options, the runner or a worker failed in a way that the user can fix.
    """
    if runner.is_local:  # Beam logs the traceback of each error before it raises it
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    with capture_worker_stderr(runner) as terminal, _user_errors():
        pipeline = beam.Pipeline(runner=runner.create_runner(), options=runner.pipeline_options())
        build(pipeline)
        with progress(terminal) if progress else contextlib.nullcontext():
            result = pipeline.run()
            if wait:
                result.wait_until_finish()


def dataflow_steps(runner: RunnerChoice, build: Build) -> list[str]:
    """Translates a pipeline for Dataflow without submitting it; returns its steps' names.

    Raises:
        UserError: Dataflow's options are missing or wrong.
    """
    with _user_errors():
        options = runner.pipeline_options("--dry_run=True")
        pipeline = beam.Pipeline(runner=runner.name, options=options)
        build(pipeline)
        result: Any = pipeline.run()  # of a dry run: it holds the translated job
        transforms = result.job.proto_pipeline.components.transforms.values()
    return sorted(t.unique_name for t in transforms if t.spec.urn and "/" not in t.unique_name)


def user_message(error: BaseException) -> str | None:
    """Returns the message of an error that the user can fix, None for any other error.

    Args:
        error: An exception of Beam's; a worker's error is in its text, with the
            name of the step behind it.
    """
    text = str(error)
    for pattern, message in _RUNNER_ERRORS.items():
        if found := re.search(pattern, f"{type(error).__name__}: {text}"):
            return found.expand(message)
    if "Pipeline has validations errors" in text:  # an option that the runner requires
        return " ".join(text.split())
    if isinstance(error, UserError):
        messages = [text]
    else:
        messages = re.findall(r"(?:UserError|DamagedArchiveError): (.*)", text)
    return re.sub(r" \[while running .*", "", messages[-1], flags=re.DOTALL) if messages else None


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """Raises what `user_message` knows as a `UserError`."""
    try:
        yield
    except Exception as error:
        message = user_message(error)
        if message is None:
            raise
        raise UserError(message) from error


@contextlib.contextmanager
def capture_worker_stderr(runner: RunnerChoice) -> Iterator[TextIO]:
    """Keeps the tracebacks that local worker processes print off the terminal.

    They repeat, at length, the error that the runner raises. If that is not a
    `UserError`, it is a bug, and the workers' output is shown.

    Args:
        runner: Only the local runner with several workers is captured.

    Yields:
        A stream that shows its output: standard error as it was before.
    """
    if not runner.is_local or runner.workers == 1:
        yield sys.stderr
        return
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile("w+") as captured, open(before, "w", buffering=1) as terminal:
        os.dup2(captured.fileno(), 2)
        try:
            yield terminal
        except Exception as error:
            if not isinstance(error, UserError):
                captured.seek(0)
                terminal.write(captured.read())
            raise
        finally:
            sys.stderr.flush()
            terminal.flush()
            os.dup2(before, 2)
