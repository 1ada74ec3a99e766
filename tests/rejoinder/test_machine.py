"""Cores and memory: those of the machine, or the limits of the container."""

import os

import pytest

from rejoinder.machine import find_machine

GIB = 1 << 30


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))


@pytest.fixture
def root(tmp_path):
    """Returns a function that writes files below a root folder and returns the folder."""

    def write(**files: str):
        files = {"proc/meminfo": f"MemTotal: {12 << 20} kB\nMemFree: 99 kB\n", **files}
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_without_a_container_they_are_those_of_the_process_and_the_machine(root):
    assert find_machine(root()) == (8, 12 * GIB)


def test_limits_that_are_not_set_are_ignored(root):
    group = "sys/fs/cgroup"
    files = {f"{group}/cpu.max": "max 100000\n", f"{group}/memory.max": "max\n"}
    assert find_machine(root(**files)) == (8, 12 * GIB)
    files = {f"{group}/cpu/cpu.cfs_quota_us": "-1\n"}
    assert find_machine(root(**files)) == (8, 12 * GIB)


@pytest.mark.parametrize(("quota", "cores"), [(250_000, 2), (50_000, 1), (1_600_000, 8)])
def test_the_processor_quota_of_a_container_counts(root, quota, cores):
    assert find_machine(root(**{"sys/fs/cgroup/cpu.max": f"{quota} 100000\n"})).cores == cores
    (root() / "sys/fs/cgroup/cpu.max").unlink()
    files = {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": f"{quota}\n"}
    assert find_machine(root(**files)).cores == cores


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_memory_limit_of_a_container_counts(root, name):
    assert find_machine(root(**{f"sys/fs/cgroup/{name}": f"{4 * GIB}\n"})).memory == 4 * GIB
    assert find_machine(root(**{f"sys/fs/cgroup/{name}": f"{64 * GIB}\n"})).memory == 12 * GIB


def test_this_machine_has_cores_and_memory():
    found = find_machine()
    assert found.cores >= 1
    assert found.memory > 1 << 20
