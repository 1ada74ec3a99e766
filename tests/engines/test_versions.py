"""A worker with another Python minor release or package version refuses the job in one line."""

import pickle
import sys

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from rejoinder.errors import UserError
from rejoinder.pipelines.job import execution, runners
from rejoinder.pipelines.job.steps import versions


class Step(versions.SameVersions, beam.DoFn):
    def __init__(self, number):
        self.number = number

    def process(self, element):
        yield element + self.number


def test_equal_versions_load_the_step_with_its_state():
    loaded = pickle.loads(pickle.dumps(Step(7)))
    assert list(loaded.process(1)) == [8]


@pytest.mark.parametrize(
    ("python", "package", "submitted"),
    [("3.10", None, "Python 3.10 and rejoinder"), (None, "0.0.1", "and rejoinder 0.0.1;")],
)
def test_other_versions_are_one_line_that_names_both(monkeypatch, python, package, submitted):
    with monkeypatch.context() as patch:
        if python:
            patch.setattr(versions, "_python", lambda: python)
        if package:
            patch.setattr(versions, "_package", lambda: package)
        sent = pickle.dumps(Step(1))
    with pytest.raises(UserError) as caught:
        pickle.loads(sent)
    here = f"this worker has Python {versions._python()} and rejoinder {versions._package()}, "
    assert str(caught.value).startswith(here)
    assert submitted in str(caught.value)


def test_the_check_comes_before_anything_else_of_the_step_is_loaded(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(versions, "_python", lambda: "3.10")
        sent = pickle.dumps(Step(UnknownToTheWorker()))
    monkeypatch.delitem(globals(), "UnknownToTheWorker", raising=False)
    with pytest.raises(UserError, match="this worker has Python"):
        pickle.loads(sent)


class UnknownToTheWorker:
    """A class of the submitter's release."""


def test_a_runner_reports_the_line(monkeypatch):
    package, start = versions._package, FnApiRunner.run_via_runner_api

    def start_workers(runner, pipeline, options):
        monkeypatch.setattr(versions, "_package", package)
        return start(runner, pipeline, options)

    monkeypatch.setattr(versions, "_package", lambda: "0.0.1")
    monkeypatch.setattr(FnApiRunner, "run_via_runner_api", start_workers)
    with pytest.raises(UserError, match=r"^this worker has .*rejoinder 0\.0\.1; give the workers"):
        execution.run_pipeline(
            runners.choose("", 1, []),
            lambda pipeline: pipeline | beam.Create([1]) | beam.ParDo(Step(1)),
        )


def test_a_worker_without_matplotlib_stops_the_job_as_it_begins(monkeypatch):
    """Only the last step, after hours, draws figures."""
    step = pickle.dumps(Step(1))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"this worker: .* matplotlib .*'rejoinder\[pipeline\]'"):
        pickle.loads(step)
