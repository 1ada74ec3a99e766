"""Tasks go to the worker that is free, whatever numbers the runner gives it."""

import threading
import time
from collections import Counter

import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import claims, records
from rejoinder.pipelines.job.steps.tasks import RunTask


class SlowFirst:
    """Tasks of which the first takes as long as all others."""

    step, count = "slow", 12

    def __init__(self) -> None:
        self.done: list[tuple[int, str]] = []
        self.others = threading.Event()

    def run(self, number: int):
        if number == 0:
            assert self.others.wait(20)
        self.done.append((number, threading.current_thread().name))
        if len(self.done) == self.count - 1:
            self.others.set()
        return None, {}

    def finished(self, number: int) -> None:
        pass


def test_a_free_worker_takes_the_tasks_that_the_runner_gave_to_another(tmp_path):
    (tmp_path / records.FOLDER).mkdir()
    tasks, results = SlowFirst(), []

    def work(numbers):
        for number in numbers:
            results.extend(RunTask(str(tmp_path), tasks).process(number))

    # The runner divides them evenly: the slow task would wait for the others of its worker.
    workers = [threading.Thread(target=work, args=(range(k, 12, 2),), name=f"{k}") for k in (0, 1)]
    for worker in workers:
        worker.start()
        time.sleep(0.05)
    for worker in workers:
        worker.join()
    assert sorted(number for number, _ in tasks.done) == list(range(12))
    assert Counter(name for _, name in tasks.done) == {"0": 1, "1": 11}
    assert results == [(0, b"")] * 12


def test_each_step_is_counted_by_itself(tmp_path):
    assert [claims.next_task(str(tmp_path), step) for step in ("a", "a", "b", "a")] == [0, 1, 0, 2]


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(tmp_path):
    (tmp_path / claims.FOLDER).touch()
    with pytest.raises(UserError, match=r"claims/a: cannot be written \("):
        claims.next_task(str(tmp_path), "a")
