"""A job on an engine: its state, its errors, and its cancellation, with an engine of the test."""

import logging
import signal
import sys
import threading
from types import SimpleNamespace

import grpc
import pytest
from apache_beam.runners.runner import PipelineRunner

from rejoinder.errors import UserError
from rejoinder.interrupts import Interrupted
from rejoinder.pipelines.job import execution, runners, services
from rejoinder.pipelines.job.engines import run


@pytest.fixture
def engine(monkeypatch):
    """Returns a function that runs an empty pipeline on an engine with the given result."""

    def submit(wait=lambda: None, **result):
        class Runner(PipelineRunner):
            def run_pipeline(self, pipeline, options):
                return SimpleNamespace(wait_until_finish=wait, _job_id="job-7", **result)

        monkeypatch.setattr(services, "create", lambda runner: Runner())
        execution.run_pipeline(runners.choose("Engine", 1, []), lambda pipeline: None)

    return submit


def fail(error):
    def wait():
        logging.getLogger("apache_beam.x").error("a line of the log")
        print("a traceback", file=sys.stderr)
        raise error

    return wait


def test_a_failure_of_the_engine_is_one_line(engine, capfd):
    with pytest.raises(UserError) as caught:
        engine(fail(RuntimeError("Pipeline job-7 failed in state FAILED:\n no slots")))
    assert str(caught.value) == ("--runner Engine: Pipeline job-7 failed in state FAILED: no slots")
    assert capfd.readouterr().err == ""


def test_a_lost_connection_is_one_line(engine, capfd):
    class Lost(grpc.RpcError):
        def details(self):
            return "Socket closed\nmore"

    with pytest.raises(UserError) as caught:
        engine(fail(Lost()))
    assert str(caught.value) == "--runner Engine: the job service failed (Socket closed)"
    assert capfd.readouterr().err == ""


def test_an_error_of_the_user_in_a_workers_traceback_is_its_line_alone(engine, capfd):
    text = "Traceback (most recent call last):\n x\nrejoinder.errors.UserError: RC_1: damaged\n"
    with pytest.raises(UserError) as caught:
        engine(fail(RuntimeError(text)))
    assert str(caught.value) == "RC_1: damaged"
    assert capfd.readouterr().err == ""


def test_a_bug_keeps_its_traceback_and_shows_the_log(engine, capfd):
    error = RuntimeError("Traceback (most recent call last):\nZeroDivisionError: division by zero")
    with pytest.raises(RuntimeError, match="division by zero"):
        engine(fail(error))
    assert capfd.readouterr().err == "ERROR apache_beam.x: a line of the log\na traceback\n"


def test_a_local_job_before_does_not_hide_the_log(engine, capfd, monkeypatch):
    monkeypatch.setattr(logging.getLogger("apache_beam"), "level", logging.CRITICAL)
    with pytest.raises(ZeroDivisionError):
        engine(fail(ZeroDivisionError()))
    assert "ERROR apache_beam.x: a line of the log" in capfd.readouterr().err
    assert logging.getLogger("apache_beam").level == logging.CRITICAL


def test_the_log_is_printed_again_after_the_job(engine, capfd):
    engine(wait=lambda: None)
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize("confirms", [True, False])
def test_an_interrupt_cancels_the_job_and_says_so(engine, confirms, interruptible, monkeypatch):
    waiting, cancelled = threading.Event(), threading.Event()
    monkeypatch.setattr(run, "_CANCEL_SECONDS", 4.0 if confirms else 0.2)

    def wait():
        waiting.set()
        threading.Event().wait()

    def cancel():
        if not confirms:
            threading.Event().wait()
        cancelled.set()

    def interrupt():
        waiting.wait()
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted) as caught:
        engine(wait, cancel=cancel)
    assert cancelled.is_set() is confirms
    ending = "was cancelled" if confirms else "did not confirm the cancellation; look after it"
    assert str(caught.value) == f"interrupted: job job-7 {ending}"


def test_the_line_shows_the_state_of_the_job():
    job = run._Job("Engine")
    assert job.text() == "Engine: submitting the job"
    job.submitted(SimpleNamespace(_job_id="job-7", state="RUNNING"))
    assert job.text() == "Engine: job job-7 is running"


def test_an_engine_that_does_not_answer_has_an_unknown_state():
    class Result:
        _job_id = "job-7"

        @property
        def state(self):
            raise ConnectionError

    job = run._Job("Engine")
    job.submitted(Result())
    assert job.text() == "Engine: job job-7 is in an unknown state"
