"""Packed rows: every text occurs once, in its own segment, with little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.serving.engine.packing import pack_rows

PAD = 1


def text(length, first=5):
    return np.arange(first, first + length, dtype=np.int32)


def pack(lengths, longest=128):
    return pack_rows([text(length) for length in lengths], pad_id=PAD, longest=longest)


@given(st.lists(st.integers(0, 128), min_size=1, max_size=60))
def test_every_text_keeps_its_tokens_and_positions_in_its_own_segment(lengths):
    packed = pack(lengths)
    seen = 0
    for length, (row, number) in zip(lengths, packed.slots, strict=True):
        if not length:
            assert (row, number) == (-1, -1)
            continue
        own = packed.segment_ids[row] == number + 1
        np.testing.assert_array_equal(packed.token_ids[row][own], text(length))
        np.testing.assert_array_equal(packed.positions[row][own], np.arange(length))
        (columns,) = np.nonzero(own)
        assert columns[-1] - columns[0] == length - 1  # contiguous
        seen += length
    assert np.count_nonzero(packed.segment_ids) == seen
    assert np.all(packed.token_ids[packed.segment_ids == 0] == PAD)


def test_a_single_text_has_a_row_of_its_own_length():
    assert pack([17]).token_ids.shape == (1, 17)


def test_rows_are_filled_evenly():
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 40, 60)
    packed = pack(lengths)
    assert lengths.sum() / packed.token_ids.size > 0.95


def test_equal_long_texts_do_not_leave_half_of_the_rows_empty():
    assert pack([65] * 4).token_ids.size <= 4 * 72


@given(st.lists(st.integers(7, 128), min_size=20, max_size=60))
def test_batches_of_many_texts_have_few_shapes(lengths):
    rows, width = pack(lengths).token_ids.shape
    assert rows > 1
    assert width % 8 == 0
    assert width <= 128


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_no_row_is_wider_than_the_model_allows(lengths):
    assert pack(lengths, longest=30).token_ids.shape[1] <= 30


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_texts_without_tokens_give_no_rows(lengths):
    packed = pack(lengths)
    assert packed.token_ids.size == 0
    assert len(packed.slots) == len(lengths)


def test_a_padding_id_inside_a_text_is_masked_in_place():
    packed = pack_rows([np.array([0, 5, PAD, 6, 2], np.int32)], pad_id=PAD, longest=128)
    assert packed.segment_ids[0, :5].tolist() == [1, 1, 0, 1, 1]
    assert packed.positions[0, [0, 1, 3, 4]].tolist() == [0, 1, 2, 3]
