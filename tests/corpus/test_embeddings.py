import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rejoinder.corpus import embeddings
from rejoinder.corpus.embeddings import EmbeddingShard
from rejoinder.errors import UserError


def _table(texts, vectors, dtype=np.float32, **columns):
    values = np.asarray(vectors, dtype)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return pa.table({"text": texts, "embedding": column, **columns})


def test_the_manifest_lists_the_shards_with_rows_in_order(tmp_path):
    shards = [
        EmbeddingShard("b.parquet", 3, 0, 30, "bb"),
        EmbeddingShard("c.parquet", 0, 2, 0, ""),
        EmbeddingShard("a.parquet", 4, 1, 40, "aa"),
    ]
    text = embeddings.manifest_text(shards, {"model": "out/model", "dtype": "float16"})
    (tmp_path / "manifest.json").write_text(text)
    assert json.loads(text) == {
        "format_version": 1,
        "spec": {"model": "out/model", "dtype": "float16"},
        "rows": 7,
        "bad_rows": 3,
        "shards": [
            {"name": "a.parquet", "rows": 4, "bytes": 40, "sha256": "aa"},
            {"name": "b.parquet", "rows": 3, "bytes": 30, "sha256": "bb"},
        ],
    }
    assert embeddings.embedding_model(str(tmp_path)) == "out/model"
    assert embeddings.listed_files(str(tmp_path)) == {"manifest.json", "a.parquet", "b.parquet"}


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"spec": null}', '{"spec": {}}'])
def test_a_folder_without_a_model_name_gives_none(tmp_path, text):
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    assert embeddings.embedding_model(str(tmp_path)) is None
    assert embeddings.listed_files(str(tmp_path)) is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_sliced_and_chunked_table_gives_its_rows(dtype):
    values = np.arange(12, dtype=dtype).reshape(4, 3)
    table = pa.concat_tables([_table(["x"] * 4, values, dtype)] * 2).slice(1, 6)
    found = embeddings.read_embeddings(table)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.concatenate([values, values])[1:7])


def test_batches_have_unit_length_and_no_empty_text(tmp_path):
    folder = tmp_path / "embeddings [1]"
    (folder / "nested").mkdir(parents=True)
    pq.write_table(_table(["c"], [[0, 0]], subreddit=["z"]), folder / "b.parquet")
    first = _table(["a", "", "b"], [[3, 4], [1, 0], [0, -2]], subreddit=["x", "y", "z"])
    pq.write_table(first, folder / "a.parquet")
    pq.write_table(_table(["nested"], [[1, 0]]), folder / "nested" / "c.parquet")
    tables, vectors = zip(*embeddings.read_batches(f"{folder}/"), strict=True)
    assert [table.to_pydict() for table in tables] == [
        {"text": ["a", "b"], "subreddit": ["x", "z"]},
        {"text": ["c"], "subreddit": ["z"]},
    ]
    np.testing.assert_allclose(np.concatenate(vectors), [[0.6, 0.8], [0, -1], [0, 0]], rtol=1e-6)
    assert {batch.dtype.name for batch in vectors} == {"float32"}


def test_a_folder_without_parquet_files_is_an_error(tmp_path):
    with pytest.raises(UserError, match="neither a corpus nor a folder of Parquet files"):
        list(embeddings.read_batches(str(tmp_path)))


def test_a_file_without_an_embedding_is_named_with_its_columns(tmp_path):
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet: needs the columns .*, has text; make it"):
        list(embeddings.read_batches(str(tmp_path)))


def test_a_file_that_is_not_parquet_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"text")
    with pytest.raises(UserError, match=r"a\.parquet: not a Parquet file"):
        list(embeddings.read_batches(str(tmp_path)))


def test_sign_bits_are_read_as_numbers_of_one_size(tmp_path):
    bits = np.array([[0b10000000], [0b11111111]], np.uint8)
    column = embeddings.embedding_column(bits, "binary")
    table = pa.table({"text": ["a", "b"], "embedding": column})
    np.testing.assert_array_equal(
        embeddings.read_embeddings(pa.concat_tables([table] * 2)[1:]),
        np.concatenate([bits, bits])[1:],
    )
    with open(tmp_path / "a.parquet", "wb") as stream:
        embeddings.write_table(table, stream)
    ((_, vectors),) = embeddings.read_batches(str(tmp_path))
    expected = np.array([[1] + [-1] * 7, [1] * 8]) / np.sqrt(8)
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)


def test_an_int8_takes_about_a_byte_and_is_scaled_to_unit_length(tmp_path):
    numbers = np.random.default_rng(0).integers(-128, 128, (400, 64)).astype(np.int8)
    column = embeddings.embedding_column(numbers, "int8")
    with open(tmp_path / "a.parquet", "wb") as stream:
        embeddings.write_table(pa.table({"text": ["a"] * 400, "embedding": column}), stream)
    assert (tmp_path / "a.parquet").stat().st_size < 1.2 * numbers.size
    ((_, vectors),) = embeddings.read_batches(str(tmp_path))
    expected = numbers / np.linalg.norm(numbers.astype(np.float32), axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "int8", "binary"])
def test_a_changed_byte_of_an_embedding_is_an_error(tmp_path, dtype):
    numbers = np.random.default_rng(0).integers(0, 100, (50, 32)).astype("uint8")
    numbers = numbers if dtype == "binary" else numbers.astype(dtype)
    column = embeddings.embedding_column(numbers, dtype)
    with open(tmp_path / "a.parquet", "wb") as stream:
        embeddings.write_table(pa.table({"text": ["a"] * 50, "embedding": column}), stream)
    damaged = bytearray((tmp_path / "a.parquet").read_bytes())
    damaged[600] ^= 1
    (tmp_path / "a.parquet").write_bytes(damaged)
    with pytest.raises(UserError, match=r"a\.parquet: is damaged \(.*; embed the texts again"):
        list(embeddings.read_batches(str(tmp_path)))


@pytest.mark.parametrize("column", [[[1, 2]], ["ab"], [1.0]])
def test_embeddings_of_another_type_are_refused(tmp_path, column):
    pq.write_table(pa.table({"text": ["a"], "embedding": column}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet: the column embedding is .*; it must be"):
        list(embeddings.read_batches(str(tmp_path)))
