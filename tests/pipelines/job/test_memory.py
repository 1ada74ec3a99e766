"""Freed memory stays in the process."""

import sys

import pytest

from rejoinder.pipelines.job import memory

if sys.platform == "linux":
    import resource


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is configured")
def test_memory_that_is_used_again_needs_no_new_pages():
    memory.keep_freed_pages()
    size = 16 << 20
    bytes(size), bytes(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        bytes(size).replace(b"\0", b"\1", 1)  # writes every page of two blocks
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults * resource.getpagesize() < 3 * size


def test_another_c_library_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.keep_freed_pages()
