"""Runner names and options, and Dataflow's graph built without a network."""

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import runners
from rejoinder.pipelines.job.command import _empty_job
from rejoinder.pipelines.job.steps.spec import JobSpec
from rejoinder.pipelines.reddit.extractor import RedditComments
from rejoinder.pipelines.reddit.options import ExtractOptions

DATAFLOW = [
    "--project=my-project",
    "--region=europe-west4",
    "--temp_location=gs://my-bucket/temp",
    "--sdk_container_image=europe-west4-docker.pkg.dev/my-project/images/rejoinder:1",
    "--no_auth",
]


@pytest.mark.parametrize("name", ["", "local", "FnApiRunner", "DirectRunner"])
def test_the_default_runs_in_memory_and_never_asks_for_prism(name):
    choice = runners.choose(name, 1, [])
    assert choice.is_local
    assert type(choice.create_runner()).__name__ == "FnApiRunner"


def test_other_runners_are_beams():
    choice = runners.choose("FlinkRunner", 1, ["--flink_master=localhost:8081"])
    assert choice.create_runner() == "FlinkRunner"
    assert choice.pipeline_options().get_all_options()["flink_master"] == "localhost:8081"


def test_workers_are_processes():
    options = runners.choose("", 3, []).pipeline_options().get_all_options()
    assert options["direct_num_workers"] == 3
    assert options["direct_running_mode"] == "multi_processing"


def test_unknown_options_are_refused():
    with pytest.raises(UserError, match="--projet=x: neither"):
        runners.choose("DataflowRunner", 1, ["--projet=x"])


@pytest.mark.parametrize("drop_duplicates", [False, True])
def test_dataflow_graph_is_built_offline(drop_duplicates):
    spec = JobSpec(
        extractor=RedditComments(ExtractOptions(drop_duplicates=drop_duplicates)),
        num_buckets=8,
        max_length=128,
        limit=0,
        drop_duplicates=drop_duplicates,
        staging="gs://my-bucket/corpus.staging",
        spill_folder=None,
        keep_damaged=False,
        max_bad_ratio=0.01,
    )
    job = _empty_job(spec, "gs://my-bucket/corpus")
    steps = runners.dataflow_steps(runners.choose("DataflowRunner", 1, DATAFLOW), job)
    expected = {"ReadDump", "GroupByBucket", "WriteBucket", "GroupResults", "Publish"}
    if drop_duplicates:
        expected |= {"DigestPairs", "GroupByDigest", "FindDuplicates", "GroupAgain"}
    assert expected <= set(steps)


def test_dataflow_without_project_is_a_clear_error():
    with pytest.raises(UserError, match="project"):
        runners.dataflow_steps(runners.choose("DataflowRunner", 1, DATAFLOW[1:]), lambda p: None)


def test_a_workers_error_is_found_in_what_a_runner_raises():
    text = (
        "Error received from SDK harness\nTraceback…\n"
        "rejoinder.errors.UserError: RC: truncated [while running 'ReadDump-ptransform-9']\n"
    )
    assert runners.user_message(RuntimeError(text)) == "RC: truncated"
    assert runners.user_message(UserError("x [while running 'y']\nlog")) == "x"
    assert runners.user_message(RuntimeError("something else")) is None
    beam = "Unable to fetch remote prism binary at https://…: <urlopen error>"
    assert "--prism_location" in runners.user_message(RuntimeError(beam))
