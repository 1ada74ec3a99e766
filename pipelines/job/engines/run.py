"""Runs a pipeline on an engine: submission, waiting, cancellation, and errors of one line."""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TextIO

import apache_beam as beam
import grpc

from rejoinder import interrupts
from rejoinder.errors import UserError
from rejoinder.pipelines.job import services
from rejoinder.pipelines.job.background import Background, ignore_lost_connections
from rejoinder.pipelines.job.engines import job_server, log, loopback
from rejoinder.pipelines.job.progress import StatusLine
from rejoinder.pipelines.job.runners import RunnerChoice

Build = Callable[[beam.Pipeline], None]
Progress = Callable[[TextIO], AbstractContextManager[object]]

_CANCEL_SECONDS = 4.0
# Beam's words where the connection to a worker ends.
_LOST_WORKER = "Channel closed prematurely"


def run(
    runner: RunnerChoice, build: Build, *, wait: bool, progress: Progress | None, quiet: bool
) -> None:
    """Submits a pipeline to an engine and waits for its end.

    Beam runs in a thread, so that its own handlers of signals are not installed and a
    signal interrupts every wait. After a signal the job is cancelled.

    Args:
        runner: The runner and its options.
        build: Adds the steps to an empty pipeline.
        wait: Whether to wait for the end; False returns after submission.
        progress: Returns a context manager that shows the progress on a stream; None shows
            the state of the job.
        quiet: Whether to show neither.

    Raises:
        UserError: The engine cannot be started, or reports an error without a traceback.
    """
    ignore_lost_connections()
    stderr = sys.stderr
    with log.captured() as captured, contextlib.ExitStack() as stack:
        options = runner.pipeline_options()
        beam_runner = services.create(runner)
        has_workers = stack.enter_context(loopback.worker_pool(beam_runner, options))
        process = stack.enter_context(job_server.started(runner.name, beam_runner, options))
        if not wait and (has_workers or process is not None):
            raise UserError(
                f"--detach: the {'workers' if has_workers else 'job server'} of --runner "
                f"{runner.name} would end with this command; leave --detach out, or give the "
                "--job_endpoint of a service that stays, and workers outside of this command"
            )
        job = _Job(runner.name)

        def submit_and_wait() -> None:
            pipeline = beam.Pipeline(runner=beam_runner, options=options)
            build(pipeline)
            job.submitted(pipeline.run())
            if wait:
                job.result.wait_until_finish()

        line: AbstractContextManager[object] = contextlib.nullcontext()
        if wait and not quiet:
            line = progress(stderr) if progress else StatusLine(job.text, stderr)
        try:
            with line:
                # Beam may wait for ever for an engine that has ended.
                Background(submit_and_wait).wait(process.death_error if process else None)
            if not wait:
                print(job.text(), file=stderr)  # with the id, by which it is watched or cancelled
        except KeyboardInterrupt:
            if process is None:
                raise interrupts.Interrupted(job.cancel()) from None
            raise
        except Exception as error:
            readable = _readable(error, runner.name, process)
            if readable is error and not _is_user_error(error):
                stderr.write(captured.text())
            raise readable from None if readable is error else error


class _Job:
    """The submitted job, as the threads that wait for it and show it see it."""

    def __init__(self, runner: str) -> None:
        self._runner = runner
        self._known = threading.Event()
        self.result: Any = None

    def submitted(self, result: Any) -> None:
        """Sets Beam's object of the running job."""
        self.result = result
        self._known.set()

    def text(self) -> str:
        """Returns the line that shows the job's state."""
        if self.result is None:
            return f"{self._runner}: submitting the job"
        try:
            state = str(self.result.state).lower()
        except Exception:  # the engine does not answer, which the waiting thread reports
            state = "in an unknown state"
        return f"{self._runner}: job {self._id()} is {state}"

    def _id(self) -> str:
        value = getattr(self.result, "job_id", None) or getattr(self.result, "_job_id", "")
        return str(value() if callable(value) else value)

    def cancel(self) -> str:
        """Cancels the job, also one that is being submitted; waits for at most 4 s.

        Returns:
            The line for the user.
        """
        cancelled = threading.Event()

        def cancel() -> None:
            if self._known.wait(_CANCEL_SECONDS):
                with contextlib.suppress(Exception):
                    self.result.cancel()
                    cancelled.set()

        threading.Thread(target=cancel, daemon=True).start()
        if cancelled.wait(_CANCEL_SECONDS):
            return f"interrupted: job {self._id()} was cancelled"
        if self.result is None:
            return f"interrupted before {self._runner} confirmed the job; see whether it runs"
        return f"interrupted: job {self._id()} did not confirm the cancellation; look after it"


def _readable(error: Exception, name: str, process: job_server.EngineProcess | None) -> Exception:
    """Returns an error of one line for a failure of the engine, any other error as it is."""
    if process is not None and (death := process.death_error()):
        return death
    text = str(error)
    if _is_user_error(error):
        return error
    if _LOST_WORKER in text:
        text = (
            "a worker ended before its work was done; see its log, or the system's: a worker that "
            "is killed has often run out of memory"
        )
    elif isinstance(error, grpc.RpcError):
        text = f"the job service failed ({_details(error)})"
    elif not _of_an_engine(error) or "Traceback (most recent call last)" in text:
        return error
    return UserError(f"--runner {name}: {' '.join(text.split())}")


def _is_user_error(error: Exception) -> bool:
    """Returns whether it is a `UserError`, or Beam's report of one in a worker."""
    text = str(error)
    return isinstance(error, UserError) or "UserError: " in text or "ArchiveError: " in text


def _of_an_engine(error: Exception) -> bool:
    """Returns whether an engine or its client reports a failure, and not this program."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return type(error) is RuntimeError or bool(
        names & {"DataflowRuntimeException", "GoogleAPICallError", "GoogleAuthError"}
    )


def _details(error: grpc.RpcError) -> str:
    found: Iterator[str] = iter(str(error.details() or error.code()).splitlines())
    return next(found, "no details")
