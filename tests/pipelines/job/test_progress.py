"""The progress line adds up the figures that workers in other processes write to files."""

import io

import pytest

from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.job import progress
from rejoinder.pipelines.job.progress import Progress, ProgressLine


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets: `clock[0]` in seconds."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_line_shows_bytes_rate_and_remaining_time(tmp_path, clock):
    line = ProgressLine(str(tmp_path), 40_000_000, 4, io.StringIO())
    parts = [Part("RC_1", 20_000_000), Part("RC_2", 20_000_000)]
    readers = [Progress(str(tmp_path)).reader(part) for part in parts]
    clock[0] += 2
    for read in readers:
        read(5_000_000)
    assert line.text() == "reading 10.0 MB of 40.0 MB (5.0 MB/s, about 6 s left to read)"


def test_parts_of_one_file_count_their_own_range(tmp_path, clock):
    line = ProgressLine(str(tmp_path), 1_000_000, 4, io.StringIO())
    worker = Progress(str(tmp_path))
    first = worker.reader(Part("RC", 1_000_000, 0, 600_000))
    second = worker.reader(Part("RC", 1_000_000, 600_000, None))
    clock[0] += 1
    first(600_000)
    second(700_000)
    assert line.text().startswith("reading 700.0 kB of 1.0 MB")


def test_after_reading_the_line_counts_buckets(tmp_path, clock):
    line = ProgressLine(str(tmp_path), 100, 5, io.StringIO())
    worker = Progress(str(tmp_path))
    clock[0] += 1
    worker.reader(Part("RC", 100))(100)
    assert line.text() == "writing shards: 0 of 5 buckets (1 s, about ? left)"
    for bucket in (0, 3):
        worker.bucket_done(bucket)
    clock[0] += 8
    assert line.text() == "writing shards: 2 of 5 buckets (9 s, about 12 s left)"


def test_a_command_that_only_reads_has_no_buckets(tmp_path, clock):
    line = ProgressLine(str(tmp_path), 100, 0, io.StringIO())
    clock[0] += 1
    Progress(str(tmp_path)).reader(Part("RC", 100))(100)
    assert line.text() == "reading 100 B of 100 B (100 B/s, about 0 s left to read)"


def test_a_missing_folder_is_not_an_error(tmp_path):
    line = ProgressLine(str(tmp_path / "gone"), 100, 4, io.StringIO())
    assert line.text().startswith("reading 0 B of 100 B")


def test_the_line_is_erased_from_a_terminal_at_the_end(tmp_path):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with ProgressLine(str(tmp_path), 100, 4, stream):
        pass
    assert stream.getvalue().endswith("\r\x1b[K")


def test_remote_staging_writes_no_progress(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worker = Progress("gs://bucket/corpus.staging")
    worker.reader(Part("gs://bucket/RC", 100))(50)
    worker.bucket_done(0)
    assert list(tmp_path.iterdir()) == []
