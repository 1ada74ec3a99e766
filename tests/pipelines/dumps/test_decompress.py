"""Every codec returns every byte, and damage is always an error."""

import bz2
import gzip
import io
import lzma

import pytest
import zstandard

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import decompress
from rejoinder.pipelines.dumps.codecs import DamagedArchiveError, find_codec
from rejoinder.pipelines.dumps.decompress import READ_BYTES, read_blocks

TEXT = b"".join(b"line number %d of some text\n" % n for n in range(20_000))
SKIPPABLE = b"\x53\x2a\x4d\x18" + (11).to_bytes(4, "little") + b"not a frame"


def zst(data: bytes, **options) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


COMPRESS = {".zst": zst, ".bz2": bz2.compress, ".xz": lzma.compress, ".gz": gzip.compress}


def read(name: str, stored: bytes) -> bytes:
    return b"".join(block for block, _ in read_blocks(name, io.BytesIO(stored)))


def read_until_damage(name: str, stored: bytes) -> tuple[bytes, str]:
    found = []
    with pytest.raises(DamagedArchiveError) as caught:
        found.extend(block for block, _ in read_blocks(name, io.BytesIO(stored)))
    # `extend` keeps the blocks before the error.
    return b"".join(found), str(caught.value)


@pytest.mark.parametrize("ending", COMPRESS)
def test_one_frame_is_decompressed(ending):
    assert read("RC" + ending, COMPRESS[ending](TEXT)) == TEXT


@pytest.mark.parametrize("ending", COMPRESS)
def test_several_frames_are_decompressed(ending):
    compress = COMPRESS[ending]
    assert read("RC" + ending, compress(TEXT) + compress(b"") + compress(b"tail")) == TEXT + b"tail"


@pytest.mark.parametrize("ending", COMPRESS)
def test_the_content_decides_if_the_name_has_no_known_ending(ending):
    assert read("RC", COMPRESS[ending](TEXT)) == TEXT


def test_plain_and_empty_files_are_returned_as_they_are():
    assert read("RC", TEXT) == TEXT
    assert read("RC", b"") == b""


def test_a_window_of_two_gibibytes_is_accepted():
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=31, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    stored = compressor.compress(TEXT) + compressor.flush()  # size unknown: the window is kept
    assert zstandard.get_frame_parameters(stored).window_size == 1 << 31
    assert read("RC.zst", stored) == TEXT


@pytest.mark.parametrize("where", ["before", "between", "after"])
def test_skippable_frames_are_skipped(where):
    frames = {
        "before": SKIPPABLE + zst(TEXT),
        "between": zst(TEXT[:100]) + SKIPPABLE + zst(TEXT[100:]),
        "after": zst(TEXT) + SKIPPABLE,
    }
    assert read("RC.zst", frames[where]) == TEXT


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_a_frame_may_end_at_a_read_boundary(ending, off, monkeypatch):
    frame = COMPRESS[ending](b"0123456789" * 30)
    monkeypatch.setattr(decompress, "READ_BYTES", len(frame) + off)

    def small_reads(path, file, position, size=0):
        return file.read(len(frame) + off)

    monkeypatch.setattr(decompress, "read_stored", small_reads)
    assert read("RC" + ending, frame * 3) == b"0123456789" * 90


@pytest.mark.parametrize("ending", COMPRESS)
def test_truncation_is_an_error_at_any_position(ending):
    stored = COMPRESS[ending](TEXT[:2000]) + COMPRESS[ending](TEXT[2000:4000])
    boundary = len(COMPRESS[ending](TEXT[:2000]))
    for size in (1, 5, boundary // 2, boundary - 1, boundary + 3, boundary + 40, len(stored) - 1):
        data, message = read_until_damage("RC" + ending, stored[:size])
        assert TEXT.startswith(data)
        assert f"RC{ending}: " in message
        assert "byte offset" in message


@pytest.mark.parametrize("ending", COMPRESS)
def test_truncation_names_the_offset_at_which_the_file_ends(ending):
    stored = COMPRESS[ending](TEXT)
    _, message = read_until_damage("RC" + ending, stored[: len(stored) // 2])
    assert f"truncated {find_codec('x', stored)} archive" in message
    assert f"at byte offset {len(stored) // 2} " in message


@pytest.mark.parametrize("ending", COMPRESS)
def test_corruption_is_an_error(ending):
    compressed = bytearray(
        COMPRESS[ending](TEXT, **({"write_checksum": True} if ending == ".zst" else {}))
    )
    middle = len(compressed) // 2
    compressed[middle] ^= 0xFF
    compressed[middle + 7] ^= 0xFF
    _, message = read_until_damage("RC" + ending, bytes(compressed))
    assert "corrupt" in message or "truncated" in message


@pytest.mark.parametrize("ending", COMPRESS)
def test_garbage_after_the_last_frame_is_an_error(ending):
    stored = COMPRESS[ending](TEXT)
    data, message = read_until_damage("RC" + ending, stored + b"garbage garbage")
    assert data == TEXT
    assert f"corrupt {find_codec('x', stored)} archive at byte offset {len(stored)}" in message


@pytest.mark.parametrize("ending", [".gz", ".xz"])
@pytest.mark.parametrize("padding", [4, 512, READ_BYTES * 2])
def test_zero_padding_after_the_last_frame_is_allowed(ending, padding):
    assert read("RC" + ending, COMPRESS[ending](TEXT) + bytes(padding)) == TEXT


@pytest.mark.parametrize("ending", COMPRESS)
def test_an_empty_archive_is_an_error(ending):
    _, message = read_until_damage("RC" + ending, b"")
    assert "but is empty (byte offset 0)" in message


def test_a_name_that_contradicts_the_content_is_an_error():
    with pytest.raises(
        UserError, match=r"RC\.zst: has the name of a zstd file but begins with b'<html>"
    ):
        read("RC.zst", b"<html>not found</html>")
    with pytest.raises(UserError, match="but is a gzip file"):
        read("RC.zst", gzip.compress(TEXT))


def test_an_archive_of_files_is_refused():
    with pytest.raises(UserError, match="zip archive; unpack it first"):
        read("RC", b"PK\x03\x04....")


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_decompression_bomb_is_returned_in_bounded_blocks(ending):
    size = (300 if ending == ".zst" else 40) << 20
    bomb = COMPRESS[ending](bytes(size))
    largest = total = 0
    for block, _ in read_blocks("RC" + ending, io.BytesIO(bomb)):
        largest, total = max(largest, len(block)), total + len(block)
    assert total == size
    assert largest <= (256 if ending == ".zst" else 4) << 20
