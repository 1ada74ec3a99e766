"""Forgotten comments are gone from embeddings folders and indexes, and the other rows stay."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from rejoinder.corpus import checksums
from rejoinder.corpus.embeddings import (
    EMBEDDING,
    TEXT,
    EmbeddingShard,
    embedding_column,
    listed_files,
    manifest_text,
    read_batches,
    write_table,
)
from rejoinder.errors import UserError
from rejoinder.pipelines.forgetting.names import Names
from rejoinder.retrieval import index_builder
from rejoinder.retrieval.forgetting.embeddings import open_embeddings
from rejoinder.retrieval.forgetting.index import open_index
from rejoinder.retrieval.index import SearchIndex
from rejoinder.staging import lock_staging

ROWS, DIMENSION = 40, 16
GONE = {3, 4, 21}
NAMES = Names(frozenset(f"c{number}" for number in GONE))


def columns(rows: range) -> dict[str, list[str]]:
    return {
        "id": [f"c{row}" for row in rows],
        "author": [f"Writer{row}" for row in rows],
        "parent_id": [f"t1_c{row - 1}" for row in rows],
    }


def vectors() -> np.ndarray:
    found = np.random.default_rng(0).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def embeddings(folder: Path, kept: tuple[str, ...], field: str = "body") -> Path:
    """Writes an embeddings folder of three shards, the last with forgotten comments only."""
    folder.mkdir()
    shards, numbers = [], vectors()
    parts = (range(20), range(22, ROWS), range(21, 22))
    for index, rows in enumerate(parts):
        table = pa.table(
            {
                TEXT: [f"the words <{row}>" for row in rows],
                **{name: columns(rows)[name] for name in kept},
                EMBEDDING: embedding_column(numbers[list(rows)], "float32"),
            }
        )
        buffer = io.BytesIO()
        write_table(table, buffer)
        name = f"part-{index}.parquet"
        (folder / name).write_bytes(buffer.getvalue())
        digest = checksums.sha256(buffer.getvalue())
        shards.append(EmbeddingShard(name, len(rows), 0, buffer.tell(), digest))
    options = {"model": "a-model", "read": {"field": field, "keep": list(kept)}}
    (folder / "manifest.json").write_text(manifest_text(shards, options))
    return folder


def forget(target, names: Names) -> None:
    with lock_staging(target.folder) as staging:
        target.rewrite(names, staging)


def texts(folder: Path) -> list[str]:
    return [text for table, _ in read_batches(str(folder)) for text in table[TEXT].to_pylist()]


EXPECTED = {f"the words <{row}>" for row in range(ROWS)} - {
    f"the words <{row}>" for row in (*GONE, 20)
}


def test_rows_of_forgotten_comments_leave_an_embeddings_folder(tmp_path):
    folder = embeddings(tmp_path / "embedded", ("id", "parent_id"))
    untouched = (folder / "part-1.parquet").stat().st_ino
    old = open_embeddings(str(folder), NAMES, [])
    assert (old.rows, old.count(NAMES)) == (39, 3)
    forget(old, NAMES)
    assert set(texts(folder)) == EXPECTED
    values = json.loads((folder / "manifest.json").read_bytes())
    assert values["rows"] == 36
    assert listed_files(str(folder)) == {"manifest.json", "part-0.parquet", "part-1.parquet"}
    for shard in values["shards"]:
        data = (folder / shard["name"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(data), checksums.sha256(data))
    found = pq.read_table(folder / "part-0.parquet")
    assert found["parent_id"].to_pylist()[3:5] == [None, "t1_c5"]  # of c5, which answers c4
    assert (folder / "part-1.parquet").stat().st_ino != untouched  # c22 answers c21
    again = open_embeddings(str(folder), NAMES, [])
    assert again.count(NAMES) == 0
    before = (folder / "part-1.parquet").stat().st_ino
    forget(again, NAMES)
    assert (folder / "part-1.parquet").stat().st_ino == before


def test_rows_are_found_by_their_author_in_any_case_or_by_its_hash(tmp_path):
    folder = embeddings(tmp_path / "embedded", ("id", "author"))
    names = Names(authors=frozenset({"writer3", "writer4"}), hashes=frozenset({"Writer21"}))
    forget(open_embeddings(str(folder), names, []), names)
    assert set(texts(folder)) == EXPECTED


@pytest.mark.parametrize("dtype", ["f16", "i8", "b1"])
def test_an_index_without_comments_stores_the_same_numbers_of_all_others(tmp_path, dtype):
    folder = embeddings(tmp_path / "embedded", ("id", "parent_id"))
    indexes = []
    for name in ("index", "rebuilt"):
        index = tmp_path / name
        index_builder.build(
            str(index),
            read_batches(str(folder)),
            model="a-model",
            source=str(folder),
            dtype=dtype,
            segment_bytes=20 * DIMENSION * {"f16": 2, "i8": 1, "b1": 1}[dtype] + 1,
        )
        indexes.append(index)
        if name == "index":
            old = open_index(str(index), NAMES, [])
            assert (old.rows, old.count(NAMES)) == (39, 3)
            before = SearchIndex(index)
            stored = {
                segment.row(row)[TEXT]: segment.stored(np.array([row]))[0]
                for segment in before.segments
                for row in range(segment.rows)
            }
            forget(old, NAMES)
    found = SearchIndex(indexes[0])
    assert len(found) == 36
    for segment in found.segments:
        rows = [segment.row(row) for row in range(segment.rows)]
        expected = np.stack([stored[fields[TEXT]] for fields in rows])
        np.testing.assert_array_equal(segment.stored(np.arange(segment.rows)), expected)
    (answers,) = found.search(vectors()[7], k=40, exact=True)
    assert {answer.text for answer in answers} == EXPECTED
    assert answers[0].text == "the words <7>"
    content = b"".join(path.read_bytes() for path in indexes[0].iterdir())
    assert not [row for row in GONE if f"<{row}>".encode() in content]


def test_folders_that_do_not_name_their_comments_are_refused(tmp_path):
    plain = embeddings(tmp_path / "plain", ("parent_id",))
    with pytest.raises(UserError, match=r"plain: its rows have no ids of comments.*--keep id"):
        open_embeddings(str(plain), NAMES, [])
    index = tmp_path / "index"
    index_builder.build(str(index), read_batches(str(plain)), model="m", source=str(plain))
    with pytest.raises(UserError, match=r"index: its rows have no ids of comments"):
        open_index(str(index), NAMES, [])
    named = embeddings(tmp_path / "named", ("id",))
    with pytest.raises(UserError, match=r"named: its rows have no authors.*--keep author"):
        open_embeddings(str(named), Names(authors=frozenset({"writer3"})), [])
    titles = embeddings(tmp_path / "titles", ("id",), field="title")
    with pytest.raises(UserError, match=r"titles: its rows have no ids.*--keep name"):
        open_embeddings(str(titles), NAMES, [])
    with pytest.raises(UserError, match="holds no finished embeddings"):
        open_embeddings(str(index), NAMES, [])
    with pytest.raises(UserError, match="holds no finished index"):
        open_index(str(plain), NAMES, [])
    with pytest.raises(UserError, match="local folder"):
        open_embeddings("gs://bucket/folder", NAMES, [])
