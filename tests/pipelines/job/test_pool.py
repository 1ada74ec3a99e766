"""Worker processes without Beam: results in order, and no process that outlives the command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import pool


def square(number: int) -> tuple[int, int]:
    if number < 0:
        raise UserError(f"{number}: is negative")
    return number**2, os.getpid()


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt_group(number: int) -> None:
    os.killpg(0, signal.SIGINT)


def test_results_arrive_in_order_from_other_processes():
    found = list(pool.call_in_order(square, range(50), 2))
    assert [result for result, _ in found] == [number**2 for number in range(50)]
    assert os.getpid() not in {process for _, process in found}


def test_one_worker_or_one_task_needs_no_process():
    for tasks, workers in (([1, 2, 3], 1), ([3], 8), ([], 8)):
        found = list(pool.call_in_order(square, tasks, workers))
        assert found == [(task**2, os.getpid()) for task in tasks]


def test_errors_are_raised_and_end_the_processes():
    with pytest.raises(UserError, match="-1: is negative"):
        list(pool.call_in_order(square, [1, -1, *range(100)], 2))
    with pytest.raises(UserError, match=r"a worker process ended early, .* give fewer --workers"):
        list(pool.call_in_order(die, [1, 2, 3], 2))


def test_workers_ignore_the_interrupt_that_their_command_ignores():
    code = "import signal, test_pool; from rejoinder.pipelines.job import pool\n"
    code += "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code += "print(len(list(pool.call_in_order(test_pool.interrupt_group, range(4), 2))))"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=environment, start_new_session=True, capture_output=True, text=True, check=True
    )
    assert done.stdout == "4\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not end the workers")
def test_no_worker_outlives_a_command_that_is_killed():
    code = "import time; from rejoinder.pipelines.job import pool\n"
    code += "list(pool.call_in_order(time.sleep, [60] * 8, 2))"
    command = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 3)  # with Python's resource tracker
    found = children.read_text().split()
    command.kill()
    command.wait()
    wait_until(lambda: not any(map(is_running, found)))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
