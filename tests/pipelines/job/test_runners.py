"""Runner names and options."""

import subprocess
import sys

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import runners


@pytest.mark.parametrize("name", ["", "local", "FnApiRunner", "DirectRunner"])
def test_the_default_runs_in_memory_and_never_asks_for_prism(name):
    choice = runners.choose(name, 1, [])
    assert choice.is_local
    assert type(choice.create_runner()).__name__ == "FnApiRunner"


def test_other_runners_and_their_options_are_passed_to_beam():
    choice = runners.choose("FlinkRunner", 1, ["--flink_master=localhost:8081"])
    assert choice.create_runner() == "FlinkRunner"
    assert choice.pipeline_options().get_all_options()["flink_master"] == "localhost:8081"


def test_workers_are_processes():
    choice = runners.choose("", 3, [])
    assert choice.forks_workers
    assert choice.pipeline_options().get_all_options()["direct_num_workers"] == 3


def test_one_worker_or_a_cluster_needs_no_processes():
    assert not runners.choose("", 1, []).forks_workers
    assert not runners.choose("FlinkRunner", 3, []).forks_workers


def test_unknown_options_are_errors():
    with pytest.raises(UserError, match="--projet=x: neither"):
        runners.choose("DataflowRunner", 1, ["--projet=x"])


def test_less_than_one_worker_is_an_error():
    with pytest.raises(UserError, match="--workers: must be at least 1, got 0"):
        runners.choose("", 0, [])


def test_the_server_of_workers_starts_before_beam_is_imported():
    program = (
        "import sys; from rejoinder.pipelines.job import runners, workers; "
        "from rejoinder.pipelines import pairs, preprocess; "
        "assert runners.choose('', 2, []).forks_workers; "
        "assert not {'apache_beam', 'tensorflow', 'polars'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
