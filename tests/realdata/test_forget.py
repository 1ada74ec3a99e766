"""Fifty real comments are in the files of a corpus before they are forgotten, and then in none."""

import io
import json
import os
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from rejoinder.corpus import reading, tfrecord
from rejoinder.pipelines import forget, preprocess, verify

DATA = Path(os.environ.get("REJOINDER_DATA", "../shared/data"))
DUMPS = [DATA / "reddit_dumps" / name for name in ("RC_2005-12.zst", "RC_2006-01.zst")]
CHARS = 100  # fewer than are kept of a text that is too long
pytestmark = pytest.mark.realdata

if not DUMPS[0].is_file():
    pytest.skip(f"no dumps at {DUMPS[0].parent}; set REJOINDER_DATA", allow_module_level=True)


def values(path: Path) -> set[str]:
    """Returns every text value of a file: of its features, columns, JSON, or all its text."""
    data = path.read_bytes()
    if "tfrecord" in path.name:
        examples = map(reading.decode, tfrecord.read_frames(data))
        return {str(value) for example in examples for value in example.values()}
    if path.suffix == ".parquet":
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        return {str(value) for row in rows for value in row.values()}
    return {data.decode("utf-8", "backslashreplace")}


def files_with(folder: Path, line: dict, found: dict[Path, set[str]]) -> set[str]:
    """Returns the files that have a comment's id or the beginning of its text."""
    id_, text = line["id"], line["body"][:CHARS]
    return {
        str(path.relative_to(folder))
        for path, strings in found.items()
        if id_ in strings or any(f'"{id_}"' in s or text in s for s in strings)
    }


def read_lines(dump: Path) -> list[dict]:
    data = (
        zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(dump.read_bytes()).read()
    )
    return list(map(json.loads, data.splitlines()))


def test_fifty_real_comments_are_forgotten(tmp_path):
    lines = [line for dump in DUMPS for line in read_lines(dump)]
    texts = "\n".join(line["body"] for line in lines)
    some = random.Random(0).sample([line for line in lines if len(line["body"]) > 30], 800)
    picked = [line for line in some if texts.count(line["body"][:CHARS]) == 1]
    corpus = tmp_path / "corpus"
    options = ["--tokenizer", str(DATA / "tokenizer"), "--keep-text", "--quiet"]
    kept = ["--keep-months", "3", "--extra-contexts", "4", "--num-shards", "8"]
    paths = ["--input", *map(str, DUMPS), "--output", str(corpus)]
    preprocess.main([*paths, *options, *kept])

    def traces() -> list[set[str]]:
        found = {path: values(path) for path in corpus.rglob("*") if path.is_file()}
        return [files_with(corpus, line, found) for line in picked]

    before = traces()
    picked = [line for line, files in zip(picked, before, strict=True) if len(files) > 1][:50]
    assert len(picked) == 50
    (tmp_path / "ids").write_text("\n".join(line["id"] for line in picked))
    forget.main([str(corpus), "--ids", str(tmp_path / "ids"), "--workers", "1"])
    assert set().union(*traces()) == set()
    assert list(verify.problems(str(corpus))) == []
