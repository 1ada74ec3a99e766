import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.corpus.naming import parse_shard_name, shard_name


def test_names_follow_the_tfds_convention():
    assert shard_name("train", 3, 16) == "train.tfrecord-00003-of-00016"


@given(st.sampled_from(["train", "test"]), st.integers(1, 99_999), st.data())
def test_a_shard_name_parses_back(split, count, data):
    index = data.draw(st.integers(0, count - 1))
    assert parse_shard_name(shard_name(split, index, count)) == (split, index, count)


@pytest.mark.parametrize(("index", "count"), [(-1, 4), (4, 4), (0, 100_000)])
def test_an_index_outside_the_count_is_refused(index, count):
    with pytest.raises(ValueError, match="shard index"):
        shard_name("train", index, count)


@pytest.mark.parametrize(
    "name", ["manifest.json", "train.tfrecord-1-of-2", "train.tfrecord-00000-of-00001.tmp"]
)
def test_other_file_names_are_not_shard_names(name):
    assert parse_shard_name(name) is None
