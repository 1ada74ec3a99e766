"""Building and searching an index of random vectors."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rejoinder.errors import UserError
from rejoinder.retrieval.index import SearchIndex
from rejoinder.retrieval.index_builder import build
from rejoinder.retrieval.index_files import DTYPES, listed_files

ROWS, DIMENSION = 600, 24


def _vectors(rows=ROWS, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _batches(vectors, size=70, text=lambda row: f"text {row}"):
    for start in range(0, len(vectors), size):
        rows = range(start, min(start + size, len(vectors)))
        table = pa.table(
            {"text": [text(r) for r in rows], "subreddit": [f"r{r % 3}" for r in rows]}
        )
        yield table, vectors[rows.start : rows.stop]


def _build(folder, vectors, rows_in_segment=10_000, overwrite=False, dtype="f16", **options):
    build(
        str(folder),
        _batches(vectors, **options),
        model="m",
        source="s",
        dtype=dtype,
        overwrite=overwrite,
        segment_bytes=rows_in_segment * DIMENSION * DTYPES[dtype],
    )
    return SearchIndex(str(folder))


def test_a_text_finds_itself_with_its_columns(tmp_path):
    vectors = _vectors()
    index = _build(tmp_path, vectors)
    assert len(index) == ROWS
    for row, answers in zip(
        (0, 69, 70, 599), index.search(vectors[[0, 69, 70, 599]], 3), strict=True
    ):
        assert answers[0].text == f"text {row}"
        assert answers[0].fields == {"subreddit": f"r{row % 3}"}
        assert answers[0].score == pytest.approx(1, abs=2e-3)
        assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)


def test_several_segments_answer_as_one(tmp_path):
    vectors, queries = _vectors(), _vectors(20, seed=1)
    one = _build(tmp_path / "one", vectors)
    many = _build(tmp_path / "many", vectors, rows_in_segment=100)
    assert many.description.segments == [100] * 6
    for options in ({"exact": True}, {"effort": 600}):
        texts = [
            [[a.text for a in answers] for answers in index.search(queries, 10, **options)]
            for index in (one, many)
        ]
        assert texts[0] == texts[1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_texts_give_the_same_bytes(tmp_path, dtype):
    for name in ("first", "second"):
        _build(tmp_path / name, _vectors(), rows_in_segment=100, dtype=dtype)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert any(name.endswith(".usearch") for name in files)
    for name in files:
        first, second = ((tmp_path / folder / name).read_bytes() for folder in ("first", "second"))
        assert first == second, name


def test_exact_search_is_the_sorted_product(tmp_path):
    vectors, queries = _vectors(), _vectors(20, seed=1)
    found = _build(tmp_path, vectors).rows(queries, 5, exact=True)
    expected = (-(queries @ vectors.T)).argsort(axis=1)[:, :5]
    agree = np.mean([[row for _, _, row in rows] for rows in found] == expected)
    assert agree > 0.95  # half precision may swap neighbours


def test_the_graph_finds_what_exact_search_finds(tmp_path):
    vectors, queries = _vectors(), _vectors(50, seed=1)
    index = _build(tmp_path, vectors)
    exact, near = (index.rows(queries, 10, exact=flag) for flag in (True, False))
    recall = np.mean(
        [
            len({r[1:] for r in a} & {r[1:] for r in b}) / 10
            for a, b in zip(exact, near, strict=True)
        ]
    )
    assert recall > 0.98


@pytest.mark.parametrize("dtype", ["i8", "b1"])
def test_a_smaller_graph_finds_and_scores_what_exact_search_does(tmp_path, dtype):
    vectors, queries = _vectors(), _vectors(50, seed=1)
    index = _build(tmp_path, vectors, rows_in_segment=400, dtype=dtype)
    assert index.description.dtype == dtype
    exact = queries @ vectors.T
    for options, least in (({"exact": True}, 0.97), ({"effort": 400}, 0.97)):
        found = index.rows(queries, 10, **options)
        recall = 0
        for scores, nearest in zip(exact, found, strict=True):
            rows = [row + sum(index.description.segments[:part]) for _, part, row in nearest]
            assert len(rows) == 10
            np.testing.assert_allclose([n[0] for n in nearest], scores[rows], atol=0.02)
            assert [n[0] for n in nearest] == sorted((n[0] for n in nearest), reverse=True)
            recall += len({*rows} & {*(-scores).argsort()[:10]}) / 10
        assert recall / 50 > least


@pytest.mark.parametrize("dtype", ["i8", "b1"])
def test_a_smaller_index_has_its_files_and_vectors(tmp_path, dtype):
    vectors = _vectors(200)
    index = _build(tmp_path, vectors, rows_in_segment=100, dtype=dtype)
    assert listed_files(str(tmp_path)) == {path.name for path in tmp_path.iterdir()}
    stored = np.concatenate([index.vectors(0, 150), index.vectors(150, 50)])
    assert (stored * vectors).sum(axis=1).min() > 0.999
    _build(tmp_path, _vectors(50), overwrite=True)
    assert listed_files(str(tmp_path)) == {path.name for path in tmp_path.iterdir()}
    assert not [*tmp_path.glob("*.int8")]


def test_bits_need_eight_numbers_a_byte(tmp_path):
    table = pa.table({"text": ["a"]})
    with pytest.raises(UserError, match="the embeddings have 12; use --dtype i8"):
        build(str(tmp_path / "i"), [(table, np.ones([1, 12]))], model="m", source="s", dtype="b1")


def test_a_shortened_file_of_int8_is_an_error(tmp_path):
    _build(tmp_path, _vectors(50), dtype="b1")
    path = tmp_path / "segment-00000.int8"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"segment-00000\.int8: is damaged"):
        SearchIndex(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"segment-00000\.int8: is missing"):
        SearchIndex(tmp_path)


def test_an_index_of_an_earlier_version_is_half_precision(tmp_path):
    _build(tmp_path, _vectors(50))
    description = json.loads((tmp_path / "index.json").read_text())
    del description["dtype"]
    (tmp_path / "index.json").write_text(json.dumps(description))
    assert SearchIndex(tmp_path).description.dtype == "f16"
    (tmp_path / "index.json").write_text(json.dumps(description | {"dtype": "i4"}))
    with pytest.raises(UserError, match="dtype is 'i4'"):
        SearchIndex(tmp_path)


def test_equal_texts_are_one_answer(tmp_path):
    vectors = np.repeat(_vectors(10), 3, axis=0)
    index = _build(tmp_path, vectors, text=lambda row: f"text {row // 3}")
    (answers,) = index.search(vectors[:1], 5)
    assert len({answer.text for answer in answers}) == 5


@pytest.mark.parametrize("exception", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("rows", [0, 100])
def test_a_build_that_fails_leaves_the_old_index_or_nothing(tmp_path, exception, rows):
    def broken():
        yield from _batches(_vectors(rows))
        raise exception

    def build_broken(folder):
        build(str(folder), broken(), model="m", source="s", overwrite=True)

    _build(tmp_path / "old", _vectors())
    for name in ("old", "new"):
        with pytest.raises(exception):
            build_broken(tmp_path / name)
    assert len(SearchIndex(tmp_path / "old")) == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    with pytest.raises(UserError, match="holds no index"):
        SearchIndex(tmp_path / "new")


def test_building_again_deletes_the_previous_index(tmp_path):
    _build(tmp_path, _vectors(), rows_in_segment=100)
    index = _build(tmp_path, _vectors(50), overwrite=True)
    assert len(index) == 50
    assert len(list(tmp_path.glob("segment-*"))) == 2


def test_an_index_is_replaced_only_with_overwrite(tmp_path):
    _build(tmp_path, _vectors(50))
    with pytest.raises(UserError, match="holds a finished index; choose another --index or give"):
        _build(tmp_path, _vectors(60))
    assert len(SearchIndex(tmp_path)) == 50


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["segment-thesis.arrow", "segment-00009.usearch", "thesis.tex"])
def test_a_file_that_is_not_part_of_the_index_is_kept(tmp_path, name, overwrite):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / name).write_text("years of work")
    with pytest.raises(UserError, match=f"index: holds {name} and no finished index"):
        _build(tmp_path / "index", _vectors(50), overwrite=overwrite)
    (tmp_path / "index" / name).unlink()
    _build(tmp_path / "index", _vectors(50))
    (tmp_path / "index" / name).write_text("years of work")
    with pytest.raises(UserError, match=f"index: holds {name}, which is not a file of the index"):
        _build(tmp_path / "index", _vectors(50), overwrite=overwrite)
    assert (tmp_path / "index" / name).read_text() == "years of work"
    assert len(SearchIndex(tmp_path / "index")) == 50


def test_an_index_without_texts_is_an_error(tmp_path):
    with pytest.raises(UserError, match="s: holds no text to index"):
        build(str(tmp_path), [], model="m", source="s")


def test_a_query_of_another_model_is_refused(tmp_path):
    index = _build(tmp_path, _vectors(50))
    with pytest.raises(UserError, match="has 7 numbers, the index 24: it was built with m"):
        index.search(np.zeros((1, 7), np.float32))


def test_damaged_files_are_named_in_the_error(tmp_path):
    _build(tmp_path, _vectors(50))
    (tmp_path / "segment-00000.arrow").write_bytes(b"nothing")
    with pytest.raises(UserError, match="segment-00000: is damaged"):
        SearchIndex(str(tmp_path))
    (tmp_path / "segment-00000.arrow").unlink()
    with pytest.raises(UserError, match=r"segment-00000\.arrow: is missing"):
        SearchIndex(str(tmp_path))
    (tmp_path / "index.json").write_text(json.dumps({"format_version": 9}))
    with pytest.raises(UserError, match="format_version is 9"):
        SearchIndex(str(tmp_path))


def test_an_index_opens_from_a_path_object(tmp_path):
    _build(tmp_path, _vectors(50))
    assert len(SearchIndex(Path(tmp_path))) == 50


@pytest.mark.parametrize("folder", ["gs://bucket/index", "s3://bucket/index"])
def test_an_index_in_a_bucket_is_refused(folder):
    with pytest.raises(UserError, match=f"{folder}: an index is memory-mapped"):
        SearchIndex(folder)
    with pytest.raises(UserError, match="must be local"):
        build(folder, _batches(_vectors(50)), model="m", source="s")


def test_an_interrupted_replacement_puts_the_old_index_back(tmp_path, monkeypatch):
    _build(tmp_path / "index", _vectors(50))
    real = os.rename

    def interrupted(source, target):
        if str(source).endswith("ready"):
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _build(tmp_path / "index", _vectors(60), overwrite=True)
    assert len(SearchIndex(tmp_path / "index")) == 50
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_the_public_api_has_the_index():
    import rejoinder

    assert rejoinder.SearchIndex is SearchIndex
