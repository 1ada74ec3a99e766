import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.internal.decoder import _DecodeVarint
from hypothesis import given
from hypothesis import strategies as st

from rejoinder.corpus.varint import (
    decode_varints,
    encode_token_ids,
    encode_varint,
    encode_varints,
    ranges,
)

ROWS = st.lists(st.lists(st.integers(0, 2**28 - 1), max_size=5), max_size=6)


def _splits(rows: list[list[int]]) -> np.ndarray:
    return np.cumsum([0, *map(len, rows)]).astype(np.int64)


def _flat(rows: list[list[int]]) -> np.ndarray:
    return np.array([value for row in rows for value in row], np.int64)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 16_383, 16_384, 2**32, 2**63 - 1])
def test_protobuf_reads_an_encoded_integer(value):
    encoded = encode_varint(value)
    assert _DecodeVarint(encoded, 0) == (value, len(encoded))


@given(ROWS)
def test_rows_are_encoded_value_by_value(rows):
    expected = [b"".join(map(encode_varint, row)) for row in rows]
    assert encode_varints(_flat(rows), _splits(rows)).to_pylist() == expected


@given(st.lists(st.lists(st.integers(0, 2**21 - 1), max_size=5), max_size=6))
def test_token_ids_are_encoded_as_other_values(rows):
    splits = _splits(rows)
    assert encode_token_ids(_flat(rows), splits).equals(encode_varints(_flat(rows), splits))


@given(ROWS)
def test_rows_are_decoded_from_anywhere_in_a_buffer(rows):
    encoded: pa.LargeBinaryArray = encode_varints(_flat(rows), _splits(rows))
    buffer = b"\xff".join([b"", *encoded.to_pylist(), b""])
    lengths = np.array([len(row) for row in encoded.to_pylist()], np.int64)
    begin = np.cumsum(lengths + 1) - lengths
    values, splits = decode_varints(np.frombuffer(buffer, np.uint8), begin, begin + lengths)
    np.testing.assert_array_equal(values, _flat(rows))
    np.testing.assert_array_equal(splits, _splits(rows))


def test_a_large_integer_is_decoded():
    data = np.frombuffer(encode_varint(2**62 + 5), np.uint8)
    values, _ = decode_varints(data, np.array([0]), np.array([len(data)]))
    assert values.tolist() == [2**62 + 5]


def test_ranges_are_joined():
    assert ranges(np.array([5, 0, 9]), np.array([7, 0, 12])).tolist() == [5, 6, 9, 10, 11]
