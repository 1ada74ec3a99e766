import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rejoinder.models.packing import gather_segments, pack


def ragged(lengths):
    """Texts whose tokens are all different: 100, 101, …"""
    splits = np.cumsum([0, *lengths])
    return tf.RaggedTensor.from_row_splits(tf.range(100, 100 + splits[-1]), splits)


def texts_of(packed):
    """Reads the texts back out of the rows, by their slots."""
    token_ids, segment_ids = packed.token_ids.numpy(), packed.segment_ids.numpy()
    positions = packed.positions.numpy()
    texts = []
    for row, number in packed.slots.numpy():
        columns = np.flatnonzero(segment_ids[row] == number + 1) if row >= 0 else []
        if len(columns):
            np.testing.assert_array_equal(np.diff(columns), 1)
            np.testing.assert_array_equal(positions[row, columns], np.arange(len(columns)))
        texts.append(token_ids[row, columns].tolist())
    return texts


compiled = tf.function(pack, reduce_retracing=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 16), min_size=1, max_size=30), st.integers(1, 8))
def test_every_placed_text_is_whole_and_alone(lengths, num_rows):
    ids = ragged(lengths)
    packed = pack(ids, row_length=16, num_rows=num_rows, max_segments=4, pad_id=1)
    wanted = ids.to_list()
    placed = packed.slots.numpy()[:, 0] >= 0
    for text, expected, has_place in zip(texts_of(packed), wanted, placed, strict=True):
        assert text == (expected if has_place else [])
    slots = [tuple(slot) for slot in packed.slots.numpy()[placed]]
    assert len(set(slots)) == len(slots)
    assert bool(packed.fits) == bool(placed.all())
    empty = packed.segment_ids.numpy() == 0
    assert (packed.token_ids.numpy()[empty] == 1).all()
    assert (packed.token_ids.numpy()[~empty] >= 100).all()
    assert packed.segment_ids.numpy().max() <= 4


def test_shapes_are_static_in_a_dataset():
    data = tf.data.Dataset.from_tensors(ragged([3, 5, 2])).map(lambda ids: pack(ids, 8, 4, 3, 1))
    spec = data.element_spec
    assert spec.token_ids.shape == spec.segment_ids.shape == spec.positions.shape == [4, 8]
    assert spec.fits.shape == []


def test_the_same_input_gives_the_same_rows():
    ids = ragged([4, 4, 4, 9, 2, 7, 7, 1])
    first, again = (tf.function(lambda: pack(ids, 12, 5, 4, 1))() for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_text_gives_empty_rows():
    packed = pack(ragged([]), 8, 2, 3, 1)
    assert bool(packed.fits)
    assert packed.slots.shape == [0, 2]
    assert (packed.token_ids.numpy() == 1).all()


@pytest.mark.parametrize(
    ("lengths", "rows", "reason"),
    [([9], 2, "longer than a row"), ([8, 8, 8], 2, "no row left"), ([1] * 7, 2, "no slot left")],
)
def test_what_does_not_fit_is_said_and_the_rest_is_placed(lengths, rows, reason):
    packed = pack(ragged(lengths), row_length=8, num_rows=rows, max_segments=3, pad_id=1)
    assert not bool(packed.fits), reason
    unplaced = (packed.slots.numpy() == -1).all(axis=1)
    assert unplaced.sum() == 1


def test_comment_lengths_fill_the_rows():
    # Log-normal with the mean and spread of Reddit comments under the length filter.
    rng = np.random.default_rng(0)
    fits = 0
    for _ in range(8):
        lengths = np.clip(rng.lognormal(2.8, 0.45, 512).round(), 4, 128).astype(int)
        rows = int(np.ceil(lengths.sum() / 128 / 0.95))
        fits += bool(compiled(ragged(lengths), 128, rows, 16, 1).fits)
    assert fits == 8, "at 95 % real tokens"


def test_embeddings_come_back_in_order():
    embeddings = tf.reshape(tf.range(2 * 3 * 4), [2, 3, 4])
    slots = tf.constant([[1, 2], [0, 0], [1, 0]])
    expected = embeddings.numpy()[[1, 0, 1], [2, 0, 0]]
    np.testing.assert_array_equal(gather_segments(embeddings, slots), expected)
