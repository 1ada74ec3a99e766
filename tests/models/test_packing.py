import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.models.packing import gather_segments, pack


def pack_lengths(lengths, row_length, num_rows, max_segments=4):
    """Packs texts of the given lengths whose tokens are all different: 100, 101, …"""
    splits = np.cumsum([0, *lengths])
    values = np.arange(100, 100 + splits[-1], dtype=np.int32)
    return pack(values, splits, row_length, num_rows, max_segments, pad_id=1)


def texts_of(packed):
    """Reads the texts back out of the rows, by their slots."""
    token_ids, segment_ids, positions = packed.token_ids, packed.segment_ids, packed.positions
    texts = []
    for row, number in packed.slots:
        columns = np.flatnonzero(segment_ids[row] == number + 1) if row >= 0 else []
        if len(columns):
            np.testing.assert_array_equal(np.diff(columns), 1)
            np.testing.assert_array_equal(positions[row, columns], np.arange(len(columns)))
        texts.append(token_ids[row, columns].tolist())
    return texts


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 16), max_size=30), st.integers(1, 8))
def test_every_placed_text_is_complete_and_separate(lengths, num_rows):
    packed = pack_lengths(lengths, row_length=16, num_rows=num_rows)
    assert {array.dtype for array in packed[:4]} == {np.dtype(np.int32)}
    assert [array.shape for array in packed[:3]] == [(num_rows, 16)] * 3
    splits = np.cumsum([100, *lengths])
    placed = packed.slots[:, 0] >= 0
    for index, text in enumerate(texts_of(packed)):
        assert text == (list(range(splits[index], splits[index + 1])) if placed[index] else [])
    slots = [tuple(slot) for slot in packed.slots[placed]]
    assert len(set(slots)) == len(slots)
    assert packed.fits == placed.all()
    empty = packed.segment_ids == 0
    assert (packed.token_ids[empty] == 1).all()
    assert (packed.token_ids[~empty] >= 100).all()
    assert packed.segment_ids.max() <= 4


def test_the_rows_of_a_known_batch():
    """The order of texts in rows is part of a reproducible training run."""
    packed = pack_lengths([4, 4, 4, 9, 2, 7, 7, 1], row_length=12, num_rows=4)
    slots = [[3, 0], [3, 1], [1, 1], [0, 0], [2, 1], [1, 0], [2, 0], [0, 1]]
    assert packed.slots.tolist() == slots


def test_no_text_gives_empty_rows():
    packed = pack_lengths([], 8, 2)
    assert packed.fits
    assert packed.slots.shape == (0, 2)
    assert (packed.token_ids == 1).all()


@pytest.mark.parametrize(
    ("lengths", "rows", "reason"),
    [([9], 2, "longer than a row"), ([8, 8, 8], 2, "no row left"), ([1] * 7, 2, "no slot left")],
)
def test_texts_that_do_not_fit_are_marked_and_the_others_are_placed(lengths, rows, reason):
    packed = pack_lengths(lengths, row_length=8, num_rows=rows, max_segments=3)
    assert not packed.fits, reason
    assert (packed.slots == -1).all(axis=1).sum() == 1


def test_comment_lengths_fill_the_rows():
    # Log-normal with the mean and spread of Reddit comments under the length filter.
    rng = np.random.default_rng(0)
    fits = 0
    for _ in range(8):
        lengths = np.clip(rng.lognormal(2.8, 0.45, 512).round(), 4, 128).astype(int)
        rows = int(np.ceil(lengths.sum() / 128 / 0.95))
        fits += pack_lengths(lengths, 128, rows, 16).fits
    assert fits == 8, "at 95 % real tokens"


def test_embeddings_come_back_in_order():
    embeddings = tf.reshape(tf.range(2 * 3 * 4), [2, 3, 4])
    slots = tf.constant([[1, 2], [0, 0], [1, 0]])
    expected = embeddings.numpy()[[1, 0, 1], [2, 0, 0]]
    np.testing.assert_array_equal(gather_segments(embeddings, slots), expected)
