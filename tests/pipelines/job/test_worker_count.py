"""`--workers auto`: the input, the cores and the memory decide, and a line says which of them."""

import pytest

from rejoinder.machine import Machine
from rejoinder.pipelines.job import arguments, runners, worker_count
from rejoinder.pipelines.job.worker_count import JOB, choose_workers

GIB = 1 << 30


@pytest.mark.parametrize(
    ("size", "machine", "count", "reason"),
    [
        (0, Machine(64, 256 * GIB), 1, "because the input is small"),
        (500 << 20, Machine(64, 256 * GIB), 1, "because the input is small"),
        (GIB, Machine(64, 256 * GIB), 4, "because the input is small"),
        (2_800 * GIB, Machine(64, 256 * GIB), 64, "one for each core"),
        (2_800 * GIB, Machine(64, 16 * GIB), 10, "as many as memory has room for"),
        (2_800 * GIB, Machine(1, 16 * GIB), 1, "one for each core"),
        (2_800 * GIB, Machine(8, 0), 1, "as many as memory has room for"),
    ],
)
def test_the_scarcest_of_input_cores_and_memory_decides(size, machine, count, reason):
    chosen, line = choose_workers(size, JOB, machine)
    assert chosen == count
    noun = "process" if count == 1 else "processes"
    assert line.startswith(f"--workers auto: {count} {noun}, {reason} (cores: {machine.cores}; ")
    assert "\n" not in line


def test_the_line_has_the_figures():
    assert choose_workers(7_600_000_000, JOB, Machine(2, 22_000_000_000))[1] == (
        "--workers auto: 2 processes, one for each core (cores: 2; memory: 22.0 GB, a worker takes "
        "up to 1.6 GB; input: 7.6 GB)"
    )


@pytest.fixture
def large_machine(monkeypatch):
    monkeypatch.setattr(worker_count, "find_machine", lambda: Machine(192, 768 * GIB))


def test_auto_is_resolved_and_printed_for_the_local_runner(large_machine, capsys):
    auto = runners.choose("", None, [])
    assert auto.workers == 1
    assert runners.choose_workers(auto, None, 2_800 * GIB).workers == 192
    assert capsys.readouterr().err.startswith("--workers auto: 192 processes, one for each core")
    assert runners.choose_workers(auto, None, 2_800 * GIB, quiet=True).workers == 192
    assert capsys.readouterr().err == ""


def test_a_given_number_and_a_cluster_stay_as_they_are(large_machine, capsys):
    three = runners.choose("", 3, [])
    assert runners.choose_workers(three, 3, 2_800 * GIB) == three
    cluster = runners.choose("FlinkRunner", None, [])
    assert runners.choose_workers(cluster, None, 2_800 * GIB) == cluster
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "value"), [([], None), (["--workers", "auto"], None), (["--workers", "7"], 7)]
)
def test_auto_is_the_default(given, value):
    import argparse

    parser = argparse.ArgumentParser()
    arguments.add_workers_argument(parser.add_argument_group("running"))
    assert parser.parse_args(given).workers == value


def test_the_first_line_of_a_command_says_what_was_chosen(tmp_path, tokenizer_folder, capsys):
    from rejoinder.pipelines import preprocess

    (tmp_path / "RC").write_bytes(b"{}\n")
    given = ["--input", str(tmp_path / "RC"), "--output", str(tmp_path / "out"), "--dry-run"]
    preprocess.main([*given, "--tokenizer", tokenizer_folder])
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("--workers auto: 1 process, because the input is small (cores: ")
