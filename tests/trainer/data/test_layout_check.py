"""Rows that cut most sentences, and chunks that no row is left for, name the key."""

import numpy as np
import pytest

from rejoinder.errors import UserError
from rejoinder.trainer.data.layout_check import check_chunks, check_row_length
from rejoinder.trainer.data.records import Pairs, Ragged


def pairs(*lengths):
    """Returns pairs with contexts and responses of the given numbers of tokens."""
    splits = np.concatenate([[0], np.cumsum(lengths)])
    texts = Ragged(np.zeros(splits[-1], np.int32), splits)
    return Pairs(texts, texts)


def test_rows_must_hold_more_than_half_of_the_sentences():
    sample = pairs(5, 10, 10, 20)
    check_row_length([sample], 10, "x.row_length")
    for samples in ([sample], [pairs(4), sample]):
        with pytest.raises(
            UserError, match=r"x\.row_length: rows of 9 tokens cut 75% of .* at least 10 tokens"
        ):
            check_row_length(samples, 9, "x.row_length")


def test_chunks_must_not_exceed_the_rows():
    check_chunks(3, 8)  # packed rows are filled up with empty ones
    check_chunks(4, 8, padded=True)
    with pytest.raises(UserError, match="must be at most the 8 rows of a replica, got 9"):
        check_chunks(9, 8)
    with pytest.raises(UserError, match="must divide the 8 rows of a replica, got 3"):
        check_chunks(3, 8, padded=True)
