"""The table files made from a shard hold its pairs, and equal shards give equal bytes."""

import io
import json

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from rejoinder.corpus import tfrecord
from rejoinder.corpus.naming import TABLE_FORMATS
from rejoinder.corpus.table_files import TableFiles
from rejoinder.corpus.varint import encode_varints
from rejoinder.pipelines.shards import wire_format

FEATURES = ("context", "response", "subreddit", "context_id", "context/0")
ROWS = [
    ("a context", "the answer", "news", "c1", None),
    ("naïve 東京 \u2028 😀", 'two\nlines and \t"quotes"', "pics", "c2", "an earlier one"),
    ("2020-01-01", "", "", "c3", ""),
]


def shard(rows=ROWS):
    """Returns the bytes of a shard with these texts."""
    ids = encode_varints(np.arange(len(rows)), np.arange(len(rows) + 1))
    columns = {"context_ids": wire_format.ids_feature("context_ids", ids)}
    frame = pl.DataFrame(rows, dict.fromkeys(FEATURES, pl.String), orient="row")
    for name in FEATURES:
        values = frame[name].to_arrow(compat_level=pl.CompatLevel.oldest())
        columns[name] = wire_format.bytes_feature(name, values)
    return tfrecord.frame(wire_format.encode_examples([columns[n] for n in sorted(columns)]))


def test_parquet_holds_the_texts_of_the_shard():
    table = pq.read_table(io.BytesIO(TableFiles("parquet", FEATURES).encode(shard())))
    assert table.column_names == list(FEATURES)
    assert list(zip(*table.to_pydict().values(), strict=True)) == ROWS


def test_json_lines_hold_the_texts_of_the_shard_in_the_order_of_the_columns():
    data = TableFiles("jsonl", FEATURES).encode(shard())
    lines = [json.loads(line) for line in data.decode().rstrip("\n").split("\n")]
    assert [tuple(line.values()) for line in lines] == ROWS
    assert all(list(line) == list(FEATURES) for line in lines)


def test_json_of_polyai_has_sorted_keys_and_leaves_out_what_is_missing():
    tables = TableFiles.of("polyai-json", FEATURES)
    first, second, third = tables.encode(shard()).decode().rstrip("\n").split("\n")
    assert first == '{"context": "a context", "response": "the answer", "subreddit": "news"}'
    assert json.loads(second)["context/0"] == "an earlier one"
    assert json.loads(third)["context/0"] == ""


@pytest.mark.parametrize("table_format", TABLE_FORMATS)
def test_equal_shards_give_equal_bytes(table_format, monkeypatch):
    tables = TableFiles.of(table_format, FEATURES)
    monkeypatch.setattr("rejoinder.corpus.table_files._BATCH_ROWS", 2)
    assert tables.encode(shard()) == tables.encode(shard())
    assert tables.encode(shard()) != tables.encode(shard(ROWS[::-1]))


def test_a_shard_without_pairs_gives_parquet_without_row_groups_and_empty_json():
    metadata = pq.ParquetFile(io.BytesIO(TableFiles("parquet", FEATURES).encode(b""))).metadata
    assert (metadata.num_rows, metadata.num_row_groups, metadata.num_columns) == (0, 0, 5)
    assert TableFiles("jsonl", FEATURES).encode(b"") == b""


def test_file_names_have_the_form_that_each_reader_expects():
    names = [TableFiles(name, FEATURES).file_name("train", 3, 16) for name in TABLE_FORMATS]
    assert names == [
        "data/train-00003-of-00016.parquet",
        "data/train-00003-of-00016.jsonl",
        "train-00003-of-00016.json",
    ]
