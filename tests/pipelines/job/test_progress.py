"""The progress line adds up what workers in other processes have left in files."""

import io

import pytest

from rejoinder.pipelines.dumps.input_files import Part
from rejoinder.pipelines.job import progress
from rejoinder.pipelines.job.progress import Progress, ProgressLine, format_bytes, format_seconds


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves: `clock[0]` in seconds."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_bytes_rate_and_time_left(tmp_path, clock):
    line = ProgressLine(str(tmp_path), 40_000_000, 4)
    parts = [Part("RC_1", 20_000_000), Part("RC_2", 20_000_000)]
    readers = [Progress(str(tmp_path)).reader(part) for part in parts]
    clock[0] += 2
    for read in readers:
        read(5_000_000)
    assert line.text() == "reading 10.0 MB of 40.0 MB (5.0 MB/s, about 6 s left to read)"


def test_parts_of_one_file_count_their_own_range(tmp_path, clock):
    line = ProgressLine(str(tmp_path), 1_000_000, 4)
    worker = Progress(str(tmp_path))
    first = worker.reader(Part("RC", 1_000_000, 0, 600_000))
    second = worker.reader(Part("RC", 1_000_000, 600_000, None))
    clock[0] += 1
    first(600_000)
    second(700_000)
    assert line.text().startswith("reading 700.0 kB of 1.0 MB")


def test_then_the_buckets(tmp_path, clock):
    line = ProgressLine(str(tmp_path), 100, 5)
    worker = Progress(str(tmp_path))
    clock[0] += 1
    worker.reader(Part("RC", 100))(100)
    assert line.text() == "writing shards: 0 of 5 buckets (1 s, about ? left)"
    for bucket in (0, 3):
        worker.bucket_done(bucket)
    clock[0] += 8
    assert line.text() == "writing shards: 2 of 5 buckets (9 s, about 12 s left)"


def test_a_folder_that_is_gone_is_no_error(tmp_path):
    assert ProgressLine(str(tmp_path / "gone"), 100, 4).text().startswith("reading 0 B of 100 B")


def test_nothing_stays_on_the_terminal(tmp_path):
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


def test_units():
    assert [format_bytes(n) for n in (0, 999, 1500, 2.5e6, 3e12)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.5 MB",
        "3.0 TB",
    ]
    assert [format_seconds(n) for n in (0.4, 59, 61, 3_900)] == [
        "0 s",
        "59 s",
        "1 min 01 s",
        "1 h 05 min",
    ]
