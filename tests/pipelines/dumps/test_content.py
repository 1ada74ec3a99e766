"""Other forms of dumps are read as JSON lines; files that are not dumps are named."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile

import polars as pl
import pytest
import zstandard

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import json_array, zst_blocks
from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks
from rejoinder.pipelines.dumps.codecs import DamagedArchiveError
from rejoinder.pipelines.dumps.content import read_content
from rejoinder.pipelines.testing import COMPRESS, dialogue, ndjson, zst_blocks_file

LINES = dialogue(40)


def read(name: str, stored: bytes) -> bytes:
    return b"".join(block for block, _ in read_content(name, io.BytesIO(stored)))


def read_until_damage(name: str, stored: bytes) -> tuple[bytes, str]:
    found = []
    with pytest.raises(DamagedArchiveError) as caught:
        found.extend(block for block, _ in read_content(name, io.BytesIO(stored)))
    return b"".join(found), str(caught.value)


def tar(name: str = "RC_2015-01") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(ndjson(LINES))
        archive.addfile(info, io.BytesIO(ndjson(LINES)))
    return buffer.getvalue()


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("RC_2015-01", ndjson(LINES))
    return buffer.getvalue()


def written(frame_method: str) -> bytes:
    buffer = io.BytesIO()
    getattr(pl.DataFrame(LINES), frame_method)(buffer)
    return buffer.getvalue()


def sqlite(tmp_path) -> bytes:
    database = sqlite3.connect(tmp_path / "x.db")
    database.execute("create table comments (id)")
    database.commit()
    database.close()
    return (tmp_path / "x.db").read_bytes()


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_tar_archive_is_named_also_where_it_is_compressed(ending):
    stored = COMPRESS[ending](tar())
    with pytest.raises(UserError, match=r"x\.tar.*: .*is a tar archive; unpack it first and give"):
        read(f"x.tar{ending}", stored)


def test_foreign_files_are_named_with_what_to_do(tmp_path):
    text = ndjson(LINES).decode()
    lz4_frame = b"\x04\x22\x4d\x18\x64\x40\xa7" + bytes(20)
    for stored, message in [
        (zip_file(), "is a zip archive; unpack it first"),
        (written("write_parquet"), "is a Parquet file; convert it to JSON lines"),
        (written("write_ipc"), "is an Arrow .* file; convert it to JSON lines"),
        (written("write_avro"), "is an Avro file; convert it to JSON lines"),
        (sqlite(tmp_path), "is an SQLite database; convert it to JSON lines"),
        (lz4_frame, r"is an lz4 file; decompress it first \(lz4 -d\)"),
        (text.encode("utf-16"), "is text in UTF-16; convert it to UTF-8"),
        (text.encode("utf-16-le"), "is text in UTF-16; convert it to UTF-8"),
        (text.encode("utf-16-be"), "is text in UTF-16; convert it to UTF-8"),
        (b"%PDF-1.7\n", "is a PDF document; give the JSON lines"),
        (b"\n<!DOCTYPE html><html>", "is an HTML or XML page.*download it again"),
        (b"d8:announce35:udp://", "is a torrent file; open it with a torrent client"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer; fetch"),
    ]:
        with pytest.raises(UserError, match=f"^RC_1: {message}"):
            read("RC_1", stored)
        with pytest.raises(UserError, match=rf"^RC_1\.gz: its content {message}"):
            read("RC_1.gz", gzip.compress(stored))
        with pytest.raises(
            UserError, match=r"^RC_1\.zst: has the name of a zstd file but .*; it is"
        ):
            read("RC_1.zst", stored)


@pytest.mark.parametrize("outer", [".zst", ".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("inner", [".zst", ".gz", ".bz2", ".xz"])
def test_data_compressed_twice_is_an_error(outer, inner):
    with pytest.raises(UserError, match=r"is compressed twice, its content is a \w+ file"):
        read(f"RC{outer}", COMPRESS[outer](COMPRESS[inner](ndjson(LINES))))


def test_text_that_resembles_a_magic_number_is_read():
    for text in (b"", b"\n", b"\xff\xfe\n{}\n", b"\0\0\n{}", b"PAR1 for the course\n", b"[]\n{}\n"):
        assert read("RC", text) == text


def test_the_rows_of_zst_blocks_are_lines():
    stored = zst_blocks_file(LINES, rows=7)
    assert read("RC_2023-04.zst_blocks", stored) == ndjson(LINES)
    assert read("any name", stored) == ndjson(LINES)


def test_zst_blocks_that_end_early_are_an_error_after_the_whole_blocks():
    blocks = [zst_blocks_file(LINES[at : at + 50]) for at in range(0, 200, 50)]
    whole = ndjson(LINES[:150])
    start = sum(map(len, blocks[:3]))
    for cut in (1, 3, 4, 5, 60, len(blocks[3]) - 1):
        found, message = read_until_damage("x.zst_blocks", b"".join(blocks[:3]) + blocks[3][:cut])
        assert found == whole
        assert f"at byte offset {start + max(cut, 4) if cut >= 4 else start + cut} " in message
        assert f"in the block that starts at {start}: " in message
        assert "--on-truncated=keep" in message


def test_corrupt_zst_blocks_are_an_error():
    first, second = zst_blocks_file(LINES[:50]), zst_blocks_file(LINES[50:])
    damaged = bytearray(second)
    damaged[4] ^= 0xFF  # the magic number of the frame
    assert read_until_damage("x", first + damaged)[0] == ndjson(LINES[:50])
    frame = zstandard.ZstdCompressor().compress

    def block(content: bytes) -> bytes:
        return len(frame(content)).to_bytes(4, "little") + frame(content)

    numbers = b"".join(n.to_bytes(4, "little") for n in (1, 0, 10))
    for content, reason in [
        (b"", "too short"),
        (b"\xff\xff\xff\xff", "too short for 4294967295 rows"),
        (numbers + b"short", "its rows exceed it"),
        (b"\2\0\0\0" + numbers[4:] * 2 + b"0123456789", "its rows exceed it"),  # shared data
    ]:
        found, message = read_until_damage("x", first + block(content))
        assert found == ndjson(LINES[:50])
        assert reason in message


def test_a_block_that_expands_without_limit_is_an_error(monkeypatch):
    monkeypatch.setattr(zst_blocks, "_MAX_BLOCK_BYTES", 1 << 20)
    frame = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    stored = len(frame).to_bytes(4, "little") + frame
    assert "more than 1 MiB" in read_until_damage("x", stored)[1]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ending", ["", ".zst"])
def test_json_arrays_are_read_as_lines(indent, ending):
    for value in (LINES, {"data": LINES}, {"data": LINES, "error": None, "next": {"a": [1]}}):
        stored = COMPRESS[ending](json.dumps(value, indent=indent).encode())
        found = read(f"RC{ending}", stored)
        assert [json.loads(line) for line in found.splitlines()] == LINES


def test_pages_of_an_api_one_after_the_other_are_read():
    pages = "\n".join(json.dumps({"data": LINES[at : at + 30]}) for at in range(0, 200, 30))
    found = read("RC", f'\ufeff{pages}\n{{"data": []}}'.encode())
    assert [json.loads(line) for line in found.splitlines()] == LINES
    assert read("RC", b'{"data": []}') == b""


def test_elements_keep_their_bytes_in_blocks_of_every_size():
    """Bytes that are not UTF-8, escapes and brackets in strings do not end an element."""
    elements = [
        '{"a": "é€😀 ] } \\" \\\\"}'.encode(),
        b'{"a": "\xff\xc3"}',
        b'{"a": "\\ud800", "a": [1, [2, {}], "]"]}',
        b"12",
        b'"text"',
    ]
    stored = b"[" + b" , ".join([b"{}", *elements]) + b" ]\n"
    for size in range(1, len(stored) + 1):
        blocks = ((stored[at : at + size], at + size) for at in range(0, len(stored), size))
        lines = b"".join(block for block, _ in json_array.read_elements("x", blocks))
        assert lines.split(b"\n") == [b"{}", *elements, b""]


def test_a_broken_array_is_an_error_with_its_offset_after_the_elements_before_it():
    whole = json.dumps(LINES).encode()
    for cut, lines in ((1, 200), (2, 199), (40, 199)):
        found, message = read_until_damage("RC", whole[:-cut])
        assert len(found.splitlines()) == lines
        assert "RC: broken JSON array at byte offset " in message
    for text, offset in [
        ('[{"é": 1}, {"b" 2}]', 12),
        ('[{"é": 1} {"b": 2}]', 11),
        ('[{"é": 1}]\nno json', 12),
        ('[{"é": 1}]\n{"c": 1}', 20),
        ('{"data": [{"é": 1}', 19),
    ]:
        found, message = read_until_damage("RC", text.encode())
        assert found.decode() == '{"é": 1}\n'
        assert f"at byte offset {offset} " in message


def test_a_value_without_end_is_an_error_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(json_array, "_MAX_VALUE", 1 << 20)

    def endless():
        yield b'[{"a": "', 8
        for number in range(1, 10_000):
            assert number < 64, "the reader went on"
            yield b"x" * (64 << 10), number

    with pytest.raises(DamagedArchiveError, match=r"at byte offset 1 .*Unterminated string"):
        list(json_array.read_elements("x", endless()))


def test_chunks_of_an_array_and_of_blocks_are_those_of_lines(tmp_path):
    for name, stored in [
        ("RC_1", ndjson(LINES)),
        ("RC_2.xz", lzma.compress(json.dumps(LINES).encode())),
        ("RC_3.bz2", bz2.compress(json.dumps({"data": LINES}).encode())),
        ("RC_4.zst_blocks", zst_blocks_file(LINES)),
    ]:
        (tmp_path / name).write_bytes(stored)
        summary = FileSummary()
        chunks = list(read_chunks(str(tmp_path / name), summary))
        assert [json.loads(x) for c in chunks for x in c.data.splitlines()] == LINES
        assert (summary.lines, summary.stored_bytes) == (200, len(stored))
