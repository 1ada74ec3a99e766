"""The files of a thread state are read by bucket, whatever the number of buckets."""

import polars as pl
import pytest

from rejoinder import storage
from rejoinder.corpus import thread_state
from rejoinder.pipelines.growth import state
from rejoinder.pipelines.growth.spec import GrowthSpec
from rejoinder.pipelines.shuffle.partition import bucket_of


@pytest.mark.parametrize(
    ("files", "buckets", "read"),
    [(8, 8, 1), (8, 4, 2), (4, 8, 1), (6, 4, 3), (5, 3, 5)],
)
def test_each_bucket_has_its_threads_and_reads_no_other_files(
    tmp_path, monkeypatch, files, buckets, read
):
    total = 100
    rows = (
        state.empty()
        .clear(total)
        .with_columns(
            thread=pl.Series([f"t{n}" for n in range(total)]),
            id=pl.Series([f"c{n}" for n in range(total)]),
        )
    )
    places = bucket_of(rows.get_column("thread"), files)
    for index in range(files):
        path = storage.join(str(tmp_path), thread_state.file_name(index, files))
        storage.write_bytes(path, state.encode(rows.filter(pl.Series(places == index))))
    opened = []
    original = state.read_file
    monkeypatch.setattr(state, "read_file", lambda path: opened.append(path) or original(path))
    spec = GrowthSpec(6, str(tmp_path), files)
    expected = bucket_of(rows.get_column("thread"), buckets)
    for bucket in range(buckets):
        found = state.read_bucket(spec, bucket, buckets)
        assert sorted(found["id"]) == sorted(rows.filter(pl.Series(expected == bucket))["id"])
    assert len(opened) == read * buckets
