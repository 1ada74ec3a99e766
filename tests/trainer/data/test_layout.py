"""Batches get static shapes, and no pair is lost."""

import numpy as np
import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.data.layout import (
    PackedLayout,
    PaddedLayout,
    balance_replicas,
    cut_to,
    rows_needed,
)
from rejoinder.trainer.data.records import Pairs, Ragged
from rejoinder.trainer.data.sampler import Batch


def texts(lengths) -> Ragged:
    rows = [[0, *range(10, 8 + n), 2] for n in lengths]
    return Ragged(np.concatenate(rows).astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))


@pytest.fixture
def batch() -> Batch:
    lengths = np.random.default_rng(0).integers(5, 40, [2, 64])
    return Batch(Pairs(texts(lengths[0]), texts(lengths[1])), np.zeros(64, np.int32))


def test_replicas_get_all_pairs_and_even_tokens(batch):
    shares = balance_replicas(batch.pairs, 8)
    assert sorted(np.concatenate(shares).tolist()) == list(range(64))
    tokens = [batch.pairs.take(rows) for rows in shares]
    sums = [int(p.context.splits[-1] + p.response.splits[-1]) for p in tokens]
    assert max(sums) < 1.1 * min(sums)


def test_packed_rows_hold_every_token(batch):
    rows = rows_needed([batch.pairs], 32, 2, 64, 3.0)
    arranged = PackedLayout(2, 64, [rows], 16, 1).arrange(batch)
    assert arranged.cut == 0
    assert arranged.tokens == int(batch.pairs.context.splits[-1] + batch.pairs.response.splits[-1])
    for features in arranged.replicas:
        assert features["token_ids"].shape == (rows, 64)
        assert features["slots"].shape == (64, 2)
        assert features["slots"].min() >= 0


def test_full_rows_cut_the_longest_sentences(batch):
    arranged = PackedLayout(1, 64, [38], 16, 1).arrange(batch)
    assert arranged.cut > 0
    assert arranged.tokens + arranged.cut == int(
        batch.pairs.context.splits[-1] + batch.pairs.response.splits[-1]
    )


def test_a_batch_takes_the_fewest_rows_that_hold_it(batch):
    """Both replicas get the same number of rows; only with the largest number is it cut."""
    tokens = int(batch.pairs.context.splits[-1] + batch.pairs.response.splits[-1])
    few, enough, more = tokens // 128 - 1, tokens // 128 + 4, tokens // 128 + 9
    for counts, expected in [([few], few), ([few, enough, more], enough), ([few, more], more)]:
        arranged = PackedLayout(2, 64, counts, 16, 1).arrange(batch)
        assert [f["token_ids"].shape[0] for f in arranged.replicas] == [expected] * 2
        assert arranged.capacity == 2 * expected * 64
        assert (arranged.cut > 0) == (expected == few)


def test_rows_with_too_few_segments_name_the_key(batch):
    with pytest.raises(UserError, match=r"task\.train_data\.max_segments: 38 rows with at most 2"):
        PackedLayout(1, 64, [38], 2, 1).arrange(batch)


def test_cut_texts_keep_their_last_token():
    cut = cut_to(texts([3, 9]), 5)
    assert cut.lengths.tolist() == [3, 5]
    assert cut.values[-1] == 2


def test_padded_rows_take_the_smallest_length_that_fits(batch):
    layout = PaddedLayout(1, [16, 48, 128], 1)
    assert layout.arrange(batch).replicas[0]["token_ids"].shape == (128, 48)


def test_equal_texts_have_equal_keys():
    keys = texts([7, 9, 7, 8]).keys()
    assert keys[0] == keys[2]
    assert len(set(keys.tolist())) == 3
