"""The files by which the steps of a run on one machine exchange blobs."""

import resource

import google_crc32c
import pytest

from rejoinder.errors import UserError
from rejoinder.pipelines.job import disk_shuffle, records

FLUSHES = [[(0, b"a"), (2, b"ccc")], [], [(1, b"bb"), (2, b"C")]]


def test_each_key_reads_back_its_blobs_in_the_order_of_the_flushes(tmp_path):
    path = str(tmp_path / "file")
    digest = disk_shuffle.write(path, iter(map(iter, FLUSHES)), 4)
    assert [disk_shuffle.read(path, key) for key in range(4)] == [
        [b"a"],
        [b"bb"],
        [b"ccc", b"C"],
        [],
    ]
    crc = google_crc32c.value((tmp_path / "file").read_bytes())
    assert digest == records.digest_of(path, like=digest) == f"crc32c:{crc:08x}"


@pytest.mark.parametrize("flushes", [[], [[]]])
def test_a_file_without_blobs_has_none_for_any_key(tmp_path, flushes):
    path = str(tmp_path / "file")
    disk_shuffle.write(path, flushes, 3)
    assert [disk_shuffle.read(path, key) for key in range(3)] == [[], [], []]


@pytest.mark.parametrize("size", [0, 5, 30, 100])
def test_a_file_that_lost_its_end_is_an_error_that_names_it(tmp_path, size):
    path = tmp_path / "file"
    disk_shuffle.write(str(path), FLUSHES, 4)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=rf"^{path}: .*use --restart"):
        disk_shuffle.read(str(path), 1)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UserError, match=r"none: cannot be read \(No such file"):
        disk_shuffle.read(str(tmp_path / "none"), 0)


def test_reading_many_files_opens_one_at_a_time(tmp_path):
    paths = [str(tmp_path / f"{number}") for number in range(300)]
    for path in paths:
        disk_shuffle.write(path, FLUSHES, 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
    try:
        assert all(disk_shuffle.read(path, 2) == [b"ccc", b"C"] for path in paths)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
