"""Real-world inputs: old schemas, damaged archives, bombs; nothing is lost without a message."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
from pathlib import Path

import pytest
import zstandard

from rejoinder import storage
from rejoinder.corpus import reading
from rejoinder.corpus.manifest import load_manifest
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import decompress
from rejoinder.pipelines.testing import comment, dialogue, expected_pairs, ndjson

ERAS = Path(__file__).parent / "data" / "schema_eras.ndjson"
COMPRESS = {
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".gz": gzip.compress,
}
LINES = dialogue(400)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def examples(folder) -> list[dict]:
    return [e for s in ("train", "test") for e in reading.read_examples(str(folder), s)]


def pairs(folder) -> set[tuple[str, str, str]]:
    return {(e["thread_id"], e["context_id"], e["response_id"]) for e in examples(folder)}


def counters(folder) -> dict[str, int]:
    manifest = load_manifest(str(folder))
    assert sum(manifest.counters.values()) == sum(entry["lines"] for entry in manifest.inputs)
    return {name: count for name, count in manifest.counters.items() if count}


def test_every_schema_era_gives_its_pairs(preprocess):
    """The file has generated comments with the fields and types of each era's dumps."""
    lines = [json.loads(line) for line in ERAS.read_text().splitlines()]
    folder = preprocess(ERAS)
    eras = {line["link_id"] for line in lines}
    by_thread: dict[str, list[dict]] = {thread: [] for thread in eras}
    for line in lines:
        by_thread[line["link_id"]].append(line)
    expected = {
        (thread.removeprefix("t3_"), above["id"], below["id"])
        for thread, (first, second, third, *_) in by_thread.items()
        for above, below in ((first, second), (second, third))
    }
    assert len(eras) == 7
    assert pairs(folder) == expected
    found = counters(folder)
    assert found["no_pair/top_level"] == 7
    assert found["filtered/removed"] == 1
    assert not [name for name in found if name.startswith("rejected/")]


def test_times_of_every_type_are_read_as_months(preprocess):
    months = json.loads((preprocess(ERAS) / "report.json").read_text())["months"]
    assert months == {
        "2005-12": 2,
        "2008-10": 2,
        "2009-09": 2,
        "2019-02": 2,
        "2020-05": 2,
        "2021-11": 2,
        "2024-02": 2,
    }


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize("how", ["truncated", "corrupt"])
def test_damage_is_an_error_with_file_and_offset_unless_kept(tmp_path, preprocess, ending, how):
    whole = bytearray(COMPRESS[ending](ndjson(LINES)))
    # After a complete frame, so that every codec has something to keep.
    stored = COMPRESS[ending](ndjson(LINES[:50]))
    if how == "truncated":
        stored += whole[: len(whole) // 2]
    else:
        whole[len(whole) // 2] ^= 0xFF
        stored += whole
    stored = bytes(stored)
    dump = write(tmp_path / f"RC{ending}", stored)
    with pytest.raises(UserError, match=rf"RC{ending}: {how} \w+ archive at byte offset \d+ "):
        preprocess(dump)
    assert [p.name for p in tmp_path.iterdir()] == [dump.name]
    # gzip detects wrong bytes only at the end of a member; before that they are bad lines.
    folder = preprocess(dump, arguments=["--on-truncated", "keep", "--max-bad-ratio", "1"])
    found = counters(folder)
    assert pairs(folder) >= expected_pairs(LINES[:50])
    if how == "truncated":
        assert pairs(folder) <= expected_pairs(LINES)
        assert found.get("rejected/broken_json", 0) <= 1  # the line that was cut
    (entry,) = load_manifest(str(folder)).inputs
    assert how in entry["damage"]
    assert (entry["bytes"], entry["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())


@pytest.mark.parametrize("ending", COMPRESS)
def test_an_archive_of_several_frames_is_read(tmp_path, preprocess, ending):
    data = ndjson(LINES)
    frames = [data[at : at + 7_000] for at in range(0, len(data), 7_000)]  # cut within lines
    stored = b"".join(map(COMPRESS[ending], frames))
    assert pairs(preprocess(write(tmp_path / f"RC{ending}", stored))) == expected_pairs(LINES)


def test_windows_of_two_gibibytes_and_skippable_frames_are_read(tmp_path, preprocess):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=31, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = compressor.compress(ndjson(LINES)) + compressor.flush()
    assert zstandard.get_frame_parameters(frame).window_size == 1 << 31
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    dump = write(tmp_path / "RC.zst", skippable + frame + skippable)
    assert pairs(preprocess(dump)) == expected_pairs(LINES)


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_decompression_bomb_is_one_rejected_line(tmp_path, preprocess, ending):
    """Some kB decompress to 64 MiB without a line end."""
    stored = COMPRESS[ending](ndjson(LINES)) + COMPRESS[ending](bytes(64 << 20) + b"\n")
    folder = preprocess(write(tmp_path / f"RC{ending}", stored))
    assert counters(folder)["rejected/line_too_long"] == 1
    assert pairs(folder) == expected_pairs(LINES)


def test_a_bomb_of_blank_lines_is_counted(tmp_path, preprocess):
    stored = COMPRESS[".zst"](ndjson(LINES) + b"\n" * (2 << 20))
    folder = preprocess(write(tmp_path / "RC.zst", stored))
    assert counters(folder)["blank_line"] == 2 << 20
    assert pairs(folder) == expected_pairs(LINES)


def test_a_bomb_of_bad_lines_ends_the_run_before_it_fills_the_memory(
    tmp_path, preprocess, monkeypatch
):
    from rejoinder.pipelines.dumps import chunks
    from rejoinder.pipelines.job.steps import read

    monkeypatch.setattr(read, "_MIN_REJECTS", 1_000)
    monkeypatch.setitem(chunks.read_chunks.__kwdefaults__, "chunk_bytes", 1 << 16)
    # The end of the archive is missing, which would be another error.
    stored = COMPRESS[".bz2"](b"{\n" * (1 << 20))
    stored += COMPRESS[".bz2"](ndjson(LINES))[:-10]
    dump = write(tmp_path / "RC.bz2", stored)
    with pytest.raises(
        UserError, match=r"RC\.bz2: 32,768 of the first 32,768 lines were rejected, .* broken_json"
    ):
        preprocess(dump)
    assert [p.name for p in tmp_path.iterdir()] == ["RC.bz2"]


def test_all_rejected_lines_are_listed_if_the_ratio_allows_them(tmp_path, preprocess, monkeypatch):
    from rejoinder.pipelines.job.steps import read

    monkeypatch.setattr(read, "_MIN_REJECTS", 1_000)
    dump = write(tmp_path / "RC", b"{\n" * 5_000 + ndjson(LINES))
    folder = preprocess(dump, arguments=["--max-bad-ratio", "1"])
    assert counters(folder)["rejected/broken_json"] == 5_000
    assert len((folder / "rejects" / "rejects.ndjson").read_text().splitlines()) == 5_000
    assert pairs(folder) == expected_pairs(LINES)


def test_threads_of_100_000_replies_are_joined_as_chain_and_as_fan(tmp_path, preprocess):
    n = 100_000
    chain = [comment(i, f"c{i - 1}" if i else None, thread="chain") for i in range(n)]
    fan = [comment(n + i, f"c{n}" if i else None, thread="fan") for i in range(n)]
    folder = preprocess(write(tmp_path / "RC", ndjson([*chain, *fan])))
    found = counters(folder)
    assert found["pair/train"] + found["pair/test"] == 2 * (n - 1)
    assert found["no_pair/top_level"] == 2


def test_self_loops_cycles_and_repeated_ids_are_counted(tmp_path, preprocess):
    lines = [
        *dialogue(2),
        comment(100, "c100"),
        comment(101, "c102"),
        comment(102, "c103"),
        comment(103, "c101"),
        comment(104, "c101"),
        comment(3, body="a second text of the same id", thread="t0", parent="c2"),
        comment(3, body="[deleted]", thread="t0", parent="c2"),
    ]
    folder = preprocess(write(tmp_path / "RC", ndjson(lines)))
    assert pairs(folder) == expected_pairs(lines) == expected_pairs(dialogue(2))
    found = counters(folder)
    assert (found["no_pair/cycle"], found["duplicate_id"]) == (5, 2)


def test_a_folder_without_dumps_and_a_glob_without_files_are_errors(tmp_path, preprocess):
    (tmp_path / "in").mkdir()
    for given in (tmp_path / "in", tmp_path / "in" / "RC_*"):
        with pytest.raises(UserError, match=f"{given.name.replace('*', '.')}: no such file"):
            preprocess(given)


def test_names_that_look_like_globs_are_read(tmp_path, preprocess):
    folder = tmp_path / "dumps [2015]"
    folder.mkdir()
    corpus = preprocess(write(folder / "RC[1]", ndjson(LINES)), output="out [x]")
    assert pairs(corpus) == expected_pairs(LINES)
    from rejoinder.pipelines import verify

    assert list(verify.problems(str(corpus))) == []


def test_a_read_error_names_file_and_offset(tmp_path, preprocess, monkeypatch):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(size)

    dump = write(tmp_path / "RC.zst", COMPRESS[".zst"](ndjson(LINES)))
    real = storage.open_read
    monkeypatch.setattr(
        storage,
        "open_read",
        lambda path: Failing(dump.read_bytes()) if path == str(dump) else real(path),
    )
    monkeypatch.setattr(decompress.read_stored, "__defaults__", (100,))
    with pytest.raises(UserError, match=r"RC\.zst: cannot be read at byte offset 100 "):
        preprocess(dump)
    assert [p.name for p in tmp_path.iterdir()] == ["RC.zst"]
