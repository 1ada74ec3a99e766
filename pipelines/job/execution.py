"""Runs Beam pipelines: the one place that builds, runs and waits for them, and words their errors.

Runners raise the same error in many forms: as the worker's exception, as text
with the name of a step behind it, or as text inside a traceback. Here each
becomes one `UserError`; an error that is not the user's keeps its traceback.
"""

import contextlib
import logging
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TextIO

import apache_beam as beam

from rejoinder import interrupts
from rejoinder.errors import UserError
from rejoinder.pipelines.job import background, worker_handler, workers
from rejoinder.pipelines.job.engines import run as engines
from rejoinder.pipelines.job.runners import RunnerChoice

Build = Callable[[beam.Pipeline], None]
Progress = Callable[[TextIO], AbstractContextManager[object]]

_POLL_SECONDS = 0.2
_DEATH_SECONDS = 1.0  # from Beam's error to the report of the death that caused it

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
    r'Unable to parse jar URL "(.*?)".*:(flink|spark):': (
        r"--\2_job_server_jar \1: no such file; give the path of the job server's jar"
    ),
    r"Option spark_rest_url must be set": (
        "--spark_rest_url: is missing; --spark_submit_uber_jar needs the address of Spark's REST "
        "service"
    ),
    r"Unexpected pipeline runner: (.*?)\. Valid values are (.*?) or the fully": (
        r"--runner \1: is not a runner of Beam; its runners are \2"
    ),
    r"You must specify a --job_endpoint": (
        "--job_endpoint: is missing; PortableRunner needs the HOST:PORT of a job service"
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
    progress: Progress | None = None,
    quiet: bool = False,
) -> None:
    """Builds a pipeline and runs it.

    Args:
        runner: The runner and its options.
        build: Adds the steps to an empty pipeline.
        wait: Whether to wait for the end; False returns after submission.
        progress: Returns a context manager that is open while the pipeline runs,
            for a stream that shows its output. None shows the state of a job on an engine.
        quiet: Whether to show nothing.

    Raises:
        UserError: The options, the runner or a worker failed in a way that the user can fix.
    """
    if quiet:
        progress = None
    with _user_errors():
        if not runner.is_local:
            engines.run(runner, build, wait=wait, progress=progress, quiet=quiet)
            return
        # Beam logs the traceback of each error before it raises it.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        if runner.forks_workers:
            _run_in_workers(runner, build, progress)
            return
        pipeline = beam.Pipeline(runner=runner.create_runner(), options=runner.pipeline_options())
        build(pipeline)
        with progress(sys.stderr) if progress else contextlib.nullcontext():
            pipeline.run().wait_until_finish()


def _run_in_workers(runner: RunnerChoice, build: Build, progress: Progress | None) -> None:
    """Runs a pipeline with worker processes.

    Beam runs in a thread that nobody joins after an interrupt or the death of a worker:
    Beam would wait for the dead workers for ever. What the workers print is shown only
    for a bug, because a `UserError` repeats the end of it.
    """
    outcome: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            pipeline = beam.Pipeline(
                runner=worker_handler.create_runner(server), options=runner.pipeline_options()
            )
            build(pipeline)
            pipeline.run().wait_until_finish()
            outcome.put(None)
        except BaseException as error:
            outcome.put(error)

    background.ignore_lost_connections()
    server = workers.take()
    deaths: queue.SimpleQueue[int] = queue.SimpleQueue()

    def died(status: int) -> None:
        deaths.put(status)
        outcome.put(workers.death_error(status))

    server.on_death = died
    with contextlib.closing(server):
        with progress(sys.stderr) if progress else contextlib.nullcontext():
            threading.Thread(target=run, daemon=True).start()
            error = _wait(outcome)
        if error is not None and user_message(error) is None:
            # A lost connection is reported before the death that caused it.
            with contextlib.suppress(queue.Empty):
                error = workers.death_error(deaths.get(timeout=_DEATH_SECONDS))
        if error is not None:
            if user_message(error) is None:
                sys.stderr.write(server.output())
            raise error


def _wait(outcome: "queue.SimpleQueue[BaseException | None]") -> BaseException | None:
    """Returns the first outcome.

    It wakes up regularly, because a signal does not always interrupt a wait without an end,
    not even one that is sent to this thread.
    """
    while True:
        with contextlib.suppress(queue.Empty):
            return outcome.get(timeout=_POLL_SECONDS)


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
    return _without_step(messages[-1]) if messages else None


def _without_step(text: str) -> str:
    """Returns an error's text without the name of the step that Beam adds."""
    return re.sub(r" \[while running .*", "", text, flags=re.DOTALL)


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """Raises what `user_message` knows as a `UserError`, and a signal as `Interrupted`."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, interrupts.Interrupted):
            raise interrupts.Interrupted(_without_step(str(error))) from None
        if interrupts.received():  # Beam wraps the exception of a signal into another one
            raise interrupts.Interrupted("interrupted") from None
        message = user_message(error)
        if message is None:
            raise
        raise UserError(message) from error
