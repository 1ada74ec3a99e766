"""Every command runs its pipeline in one place: errors, worker output, Dataflow's graph."""

import subprocess
import sys

import apache_beam as beam
import pytest
from grpc import FutureTimeoutError

from rejoinder import interrupts
from rejoinder.errors import UserError
from rejoinder.pipelines.job import execution, runners

DATAFLOW = [
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://my-bucket/temp",
    "--sdk_container_image=europe-west4-docker.pkg.dev/my-project/images/rejoinder:1",
    "--no_auth",
]


def fail(error):
    def raise_it(_):
        raise error

    return lambda pipeline: pipeline | beam.Create([1]) | beam.Map(raise_it)


def test_a_user_error_of_a_worker_has_the_workers_text_alone():
    with pytest.raises(UserError) as caught:
        execution.run_pipeline(runners.choose("", 1, []), fail(UserError("RC: truncated")))
    assert str(caught.value) == "RC: truncated"


def test_the_line_of_an_interrupt_does_not_name_the_step_that_was_running():
    with pytest.raises(interrupts.Interrupted) as caught:
        execution.run_pipeline(runners.choose("", 1, []), fail(interrupts.Interrupted("stopped")))
    assert str(caught.value) == "stopped"


def test_any_other_error_of_a_worker_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError, match="a bug"):
        execution.run_pipeline(runners.choose("", 1, []), fail(ZeroDivisionError("a bug")))


def test_progress_is_open_while_the_pipeline_runs(tmp_path):
    work = tmp_path / "work"
    events = []

    class Recorder:
        def __init__(self, stream):
            events.append(stream is sys.stderr)

        def __enter__(self):
            events.append(work.exists())

        def __exit__(self, *exception):
            events.append(work.exists())

    def build(pipeline):
        _ = pipeline | beam.Create([1]) | beam.Map(lambda _: work.touch())

    execution.run_pipeline(runners.choose("", 1, []), build, progress=Recorder)
    assert events == [True, False, True]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError(
                "Error received from SDK harness\nTraceback…\n"
                "rejoinder.errors.UserError: RC: truncated [while running 'ReadDump-9']\n"
            ),
            "RC: truncated",
        ),
        (UserError("x [while running 'y']\nlog"), "x"),
        (RuntimeError("something else"), None),
        (
            ValueError("Pipeline has validations errors: \nMissing required option: region."),
            "Pipeline has validations errors: Missing required option: region.",
        ),
    ],
)
def test_errors_that_the_user_can_fix_are_found_in_the_text_of_a_runner(error, message):
    assert execution.user_message(error) == message


def test_a_prism_binary_that_cannot_be_fetched_or_found_names_its_option():
    fetch = "Unable to fetch remote prism binary at https://…: <urlopen error>"
    assert "--prism_location" in (execution.user_message(RuntimeError(fetch)) or "")
    parse = 'Unable to parse binary URL "/none". If using a full URL, make sure the scheme …'
    found = execution.user_message(ValueError(parse)) or ""
    assert found.startswith("--prism_location /none: no such file")


@pytest.mark.parametrize("name", ["flink", "spark"])
def test_a_job_server_that_cannot_be_fetched_names_its_option(name):
    error = RuntimeError(
        f"Unable to fetch remote job server jar at https://…/beam-runners-{name}-1-job-server.jar"
    )
    assert f"--{name}_job_server_jar" in (execution.user_message(error) or "")


def test_a_job_service_that_does_not_answer_names_its_option():
    assert "--job_endpoint" in (execution.user_message(FutureTimeoutError()) or "")


def test_an_unknown_runner_is_an_error_that_lists_the_runners():
    with pytest.raises(UserError, match=r"^--runner NoRunner: is not .* FlinkRunner, "):
        execution.run_pipeline(runners.choose("NoRunner", 1, []), lambda pipeline: None)


def test_dataflow_without_project_is_an_error_that_names_it():
    choice = runners.choose("DataflowRunner", 1, DATAFLOW[1:])
    with pytest.raises(UserError, match="project"):
        execution.dataflow_steps(choice, lambda pipeline: None)


@pytest.mark.parametrize("command", ["preprocess", "pairs", "embed"])
def test_prism_without_its_binary_is_one_line_for_every_command(
    command, tmp_path, tokenizer_folder
):
    (tmp_path / "RC_1.jsonl").write_text('["a text", "and an answer"]\n')
    given = ["--input", str(tmp_path / "RC_1.jsonl"), "--output", str(tmp_path / "out")]
    given += ["--model", "none"] if command == "embed" else ["--tokenizer", tokenizer_folder]
    given += ["--runner", "PrismRunner", "--prism_location", str(tmp_path / "prism")]
    done = subprocess.run(
        [sys.executable, "-m", "rejoinder", command, *given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: --prism_location {tmp_path}/prism: no such file")
