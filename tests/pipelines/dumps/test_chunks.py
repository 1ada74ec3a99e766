"""The chunks of a file contain each of its lines once, for any size of the reads."""

import bz2
import hashlib
import random

import pytest
import zstandard

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import input_files
from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks

LINES = [b"x" * (n % 50) for n in range(1000)]
DATA = b"\n".join(LINES) + b"\n"
# So large that several reads are needed, compressed or not.
_NOISE = random.Random(0)
DENSE = b"".join(_NOISE.randbytes(50).hex().encode() + b"\n" for _ in range(5000))


def chunks(path, **options):
    summary = FileSummary()
    return list(read_chunks(str(path), summary, **options)), summary


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "RC"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("chunk_bytes", [50, 51, 64, 1000, 1 << 20])
def test_chunks_are_whole_lines_in_order(dump, chunk_bytes):
    found, summary = chunks(dump, chunk_bytes=chunk_bytes)
    assert b"".join(c.data for c in found) == DATA
    assert all(c.data.endswith(b"\n") for c in found)
    assert [c.lines for c in found] == [c.data.count(b"\n") for c in found]
    first = 1
    for chunk in found:
        assert chunk.first_line == first
        first += chunk.lines
    assert summary.lines == len(LINES)


@pytest.mark.parametrize("ending", ["", ".zst", ".bz2"])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_parts_of_a_file_have_each_of_its_chunks_once(tmp_path, ending, count):
    path = tmp_path / f"RC{ending}"
    compress = {"": bytes, ".zst": zstandard.ZstdCompressor().compress, ".bz2": bz2.compress}
    path.write_bytes(compress[ending](DENSE))
    whole, complete = chunks(path, chunk_bytes=1000)
    (file,) = input_files.expand([str(path)])
    parts = input_files._divide_file(file, count)
    assert [part.is_last for part in parts] == [False] * (count - 1) + [True]
    found = []
    for part in parts:
        some, summary = chunks(path, chunk_bytes=1000, begin=part.begin, end=part.end)
        found += some
    assert found == whole
    assert [chunk.index for chunk in whole] == list(range(len(whole)))
    assert summary == complete  # that of the last part


def test_a_part_stops_reading_at_its_end(tmp_path):
    path = tmp_path / "RC.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(DENSE) + b"damage after the part")
    middle = path.stat().st_size // 2
    found, summary = chunks(path, chunk_bytes=1000, end=middle)
    assert DENSE.startswith(b"".join(chunk.data for chunk in found))
    assert found
    assert middle <= summary.stored_bytes < path.stat().st_size
    with pytest.raises(UserError, match="corrupt zstd"):
        chunks(path, chunk_bytes=1000, begin=middle)


def test_the_summary_has_the_size_and_checksum_of_the_file(dump):
    stored = zstandard.ZstdCompressor().compress(DATA)
    path = dump.with_name("RC.zst")
    path.write_bytes(stored)
    _, summary = chunks(path)
    assert summary.stored_bytes == len(stored)
    assert summary.sha256 == hashlib.sha256(stored).hexdigest()


def test_a_last_line_without_newline_is_counted(tmp_path):
    path = tmp_path / "RC"
    path.write_bytes(b"a\nb")
    (chunk,), summary = chunks(path)
    assert (chunk.data, chunk.lines, summary.lines) == (b"a\nb", 2, 2)


def test_an_empty_file_has_no_chunks(tmp_path):
    (tmp_path / "RC").touch()
    assert chunks(tmp_path / "RC")[0] == []


@pytest.mark.parametrize("ending", [b"\n", b""])
@pytest.mark.parametrize("length", [100, 101, 5000])
def test_a_line_beyond_the_limit_is_an_oversize_chunk(tmp_path, length, ending):
    path = tmp_path / "RC"
    path.write_bytes(b"before\n" + b"y" * length + b"\nafter" + ending)
    found, summary = chunks(path, chunk_bytes=100)
    assert [(c.first_line, c.lines) for c in found if c.oversize] == [(2, 1)]
    assert b"".join(c.data for c in found if not c.oversize) == b"before\nafter" + ending
    assert summary.lines == 3


def test_a_line_at_the_limit_is_not_oversize(tmp_path):
    path = tmp_path / "RC"
    path.write_bytes(b"before\n" + b"y" * 99 + b"\nafter\n")
    found, _ = chunks(path, chunk_bytes=100)
    assert not any(c.oversize for c in found)


def test_damage_is_an_error_or_is_kept_in_the_summary(tmp_path):
    path = tmp_path / "RC.zst"
    frame = zstandard.ZstdCompressor().compress(DATA)
    path.write_bytes(frame + frame[: len(frame) // 2])
    with pytest.raises(UserError, match="truncated zstd archive at byte offset"):
        chunks(path)
    found, summary = chunks(path, keep_damaged=True)
    assert b"".join(c.data for c in found).startswith(DATA)
    assert "truncated" in summary.damage
    assert summary.stored_bytes == path.stat().st_size


def test_a_missing_file_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="cannot be opened"):
        chunks(tmp_path / "nothing")
