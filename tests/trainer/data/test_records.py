"""What a shard holds is read into flat arrays; a damaged one is an error that names the record."""

import numpy as np
import pyarrow as pa
import pytest

from rejoinder.corpus import tfrecord
from rejoinder.corpus.manifest import Shard
from rejoinder.corpus.reading import with_features
from rejoinder.errors import UserError
from rejoinder.trainer.data import records
from rejoinder.trainer.data.records import PairParts, Pairs, Ragged, read_shard


def write_shard(folder, vectors: list[tuple[bytes | None, bytes | None]]) -> Shard:
    """Writes a pair for each two vectors of a guide, those of its context and its response."""
    examples = []
    for context, response in vectors:
        values = {"context_ids": [0, 9, 2], "response_ids": [0, 8, 2]}
        values |= {"guide_context": context} if context is not None else {}
        values |= {"guide_response": response} if response is not None else {}
        examples.append(with_features(b"", values))
    data = tfrecord.frame(pa.array(examples, pa.large_binary()))
    (folder / "shard").write_bytes(data)
    return Shard("shard", len(vectors), len(data), "")


GOOD = (b"\x01\x02\xff", b"\x03\x04\x05")
GUIDE = PairParts(guide=True)


def test_the_vectors_of_a_guide_are_rows_of_int8(tmp_path):
    pairs = read_shard(str(tmp_path), write_shard(tmp_path, [GOOD] * 3), GUIDE)
    assert pairs.extra["guide_context"].tolist() == [[1, 2, -1]] * 3
    assert pairs.extra["guide_response"].dtype == np.int8


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((b"\x01\x02", GOOD[1]), "guide_context has 2 numbers, the shard's first vector 3"),
        (
            (GOOD[0], b"\x01\x02\x03\x04"),
            "guide_response has 4 numbers, the shard's first vector 3",
        ),
        ((GOOD[0], b""), "guide_response is missing"),
        ((None, GOOD[1]), "guide_context is missing"),
    ],
)
@pytest.mark.parametrize("batch", [2, 100])  # records that are decoded together
def test_a_vector_of_another_length_is_an_error_that_names_its_record(
    tmp_path, monkeypatch, bad, message, batch
):
    monkeypatch.setattr(records, "_BATCH", batch)
    shard = write_shard(tmp_path, [GOOD, GOOD, bad, GOOD])
    with pytest.raises(UserError) as raised:
        read_shard(str(tmp_path), shard, GUIDE)
    what = f"{tmp_path}/shard: record 3: {message}"
    assert str(raised.value) == f"{what}; make the corpus again with `rejoinder mine --guide`"
    assert len(read_shard(str(tmp_path), shard)) == 4  # without the guide they are not read


def test_a_shard_without_vectors_is_an_error(tmp_path):
    shard = write_shard(tmp_path, [(None, None)] * 2)
    with pytest.raises(UserError, match=r"shard: record 1: guide_context is missing"):
        read_shard(str(tmp_path), shard, GUIDE)


def test_shards_with_vectors_of_different_lengths_are_an_error():
    ids = Ragged(np.array([0, 2], np.int32), np.array([0, 2]))
    parts = [Pairs(ids, ids, {"guide_context": np.zeros((1, d), np.int8)}) for d in (4, 3)]
    with pytest.raises(
        UserError, match=r"guide_context: .* vectors of 3 and 4 numbers; .*one model"
    ):
        Pairs.concatenate(parts)
    assert len(Pairs.concatenate(parts[:1] * 2)) == 2
