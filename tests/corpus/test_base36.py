"""Numbers in base 36."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.corpus.base36 import to_base36


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (35, "z"), (36, "10"), (36**6, "1000000")])
def test_known_numbers(number, text):
    assert to_base36(number) == text


@given(st.integers(0, 2**64))
def test_python_reads_the_digits_back(number):
    digits = to_base36(number)
    assert int(digits, 36) == number
    assert digits == digits.lower()
