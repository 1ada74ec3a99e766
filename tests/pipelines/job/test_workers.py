"""Worker processes: forked from one server, watched, and gone when the run ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import apache_beam as beam
import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import execution, runners, workers
from rejoinder.retrieval import embed


def run(function):
    """Runs a function of 0 and 1 with two worker processes."""

    def build(pipeline):
        _ = pipeline | beam.Create([0, 1]) | beam.Reshuffle() | beam.Map(function)

    execution.run_pipeline(runners.choose("", 2, []), build)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def test_elements_are_processed_in_forked_processes_that_end_with_the_run(tmp_path):
    def record(_):
        (tmp_path / str(os.getpid())).write_text(str(os.getppid()))

    run(record)
    processes = {int(path.name): int(path.read_text()) for path in tmp_path.iterdir()}
    assert os.getpid() not in processes
    (server,) = set(processes.values())  # all workers have one parent
    assert not any(is_running(pid) for pid in (*processes, server))


def test_a_worker_that_the_system_kills_is_one_line_with_what_to_lower():
    with pytest.raises(UserError, match=r"killed \(signal 9\).*memory.*--workers.*--num-shards"):
        run(lambda _: os.kill(os.getpid(), signal.SIGKILL))


def test_the_death_of_the_server_is_reported_too():
    with pytest.raises(UserError, match="a worker process was killed"):
        run(lambda _: os.kill(os.getppid(), signal.SIGKILL))


def test_output_of_workers_is_shown_for_a_bug(capfd):
    def fail(_):
        os.write(2, b"from the worker\n")
        raise ZeroDivisionError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(fail)
    assert "from the worker" in capfd.readouterr().err


def test_a_user_error_of_a_worker_is_one_line_without_its_output(capfd):
    def fail(_):
        os.write(2, b"from the worker\n")
        raise UserError("RC: truncated")

    with pytest.raises(UserError, match=r"^RC: truncated$"):
        run(fail)
    assert "from the worker" not in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel kills them on Linux")
def test_nothing_is_left_after_kill_9_of_the_command(tmp_path):
    program = f"""
import os, time, apache_beam as beam
from rejoinder.pipelines.job import execution, runners

def wait(_):
    open(os.path.join({str(tmp_path)!r}, str(os.getpid())), "w").close()
    time.sleep(60)

def build(pipeline):
    _ = pipeline | beam.Create([0, 1]) | beam.Reshuffle() | beam.Map(wait)

execution.run_pipeline(runners.choose("", 2, []), build)
"""
    command = subprocess.Popen([sys.executable, "-c", program])
    try:
        assert wait_until(lambda: os.listdir(tmp_path), 60)
        with open(f"/proc/{command.pid}/task/{command.pid}/children") as file:
            children = file.read().split()
    finally:
        command.kill()
        command.wait()
    pids = [*map(int, os.listdir(tmp_path)), *map(int, children)]
    assert len(pids) >= 2
    assert wait_until(lambda: not any(map(is_running, pids)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_forks_without_threads_that_hold_locks(monkeypatch):
    """A lock that another thread holds at a fork is never released in the worker."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as `limit_threads` does
    forked = threading.Event()
    server = workers.WorkerServer([*workers.JOB_MODULES, *embed._WORKER_MODULES])
    server.on_death = lambda status: forked.set()
    try:
        # Lacks Beam's variables, so the worker fails as soon as the server has forked it.
        server.start_worker({"WORKER_ID": "a"})
        assert forked.wait(120)
        names = []
        for task in os.listdir(f"/proc/{server.pid}/task"):
            with open(f"/proc/{server.pid}/task/{task}/comm") as file:
                names.append(file.read().strip())
    finally:
        server.close()
    # jemalloc restarts its thread in the child; the other only deletes spilled files of polars.
    harmless = {"jemalloc_bg_thd", "polars-ooc-clea"}
    assert len([name for name in names if name not in harmless]) == 1, names


@pytest.mark.parametrize(("status", "text"), [(-11, "Segmentation fault"), (1, "exit status 1")])
def test_any_other_end_of_a_worker_is_a_bug(status, text):
    error = workers.death_error(status)
    assert not isinstance(error, UserError)
    assert text in str(error)
