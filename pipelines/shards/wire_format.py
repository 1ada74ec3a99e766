"""Serializes `tf.train.Example` messages by columns, without a message object per pair.

Format: https://protobuf.dev/programming-guides/encoding/, with the messages of
tensorflow/core/example/{example,feature}.proto. Features are written in
alphabetical order, so equal pairs have equal bytes.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_LENGTH_DELIMITED = 2
# Field numbers in feature.proto.
_BYTES_LIST, _INT64_LIST = 1, 3
_VARINT_BITS = 7


def encode_varint(value: int) -> bytes:
    """Returns a non-negative integer as a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= _VARINT_BITS
    out.append(value)
    return bytes(out)


def encode_varints(values: np.ndarray, row_splits: np.ndarray) -> pa.LargeBinaryArray:
    """Encodes each row of a ragged array as packed varints.

    Args:
        values: int [m], each in [0, 2^28).
        row_splits: int64 [n + 1], row boundaries in `values`.

    Returns:
        large_binary [n].
    """
    values = values.astype(np.uint32)
    sizes = np.ones(len(values), np.int64)
    for bits in (7, 14, 21):
        sizes += values >= (1 << bits)
    starts = np.zeros(len(values) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    out = np.empty(int(starts[-1]), np.uint8)
    remaining, position = values, starts[:-1]
    while len(remaining):
        more = remaining > 0x7F
        out[position] = (remaining & 0x7F) | (more.astype(np.uint32) << 7)
        remaining, position = remaining[more] >> 7, position[more] + 1
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(row_splits) - 1,
        [None, pa.py_buffer(starts[row_splits]), pa.py_buffer(out)],
    )


def _field(number: int, size: int) -> bytes:
    return encode_varint(number << 3 | _LENGTH_DELIMITED) + encode_varint(size)


def _feature_prefix(name: str, kind: int, payload: int) -> bytes:
    """Returns the bytes of one entry of `Features.feature` before its payload."""
    list_value = _field(1, payload)
    feature = _field(kind, len(list_value) + payload) + list_value
    key = name.encode()
    entry = _field(1, len(key)) + key + _field(2, len(feature) + payload) + feature
    return _field(1, len(entry) + payload) + entry


@lru_cache(maxsize=256)
def _prefixes(name: str, kind: int, longest: int) -> pa.LargeBinaryArray:
    return pa.array(
        [_feature_prefix(name, kind, size) for size in range(longest + 1)], pa.large_binary()
    )


@lru_cache(maxsize=8)
def _example_prefixes(longest: int) -> pa.LargeBinaryArray:
    return pa.array([_field(1, size) for size in range(longest + 1)], pa.large_binary())


def ids_feature(name: str, packed: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    """Encodes an int64 feature for each row of `encode_varints`' result: large_binary [n]."""
    return _feature(name, _INT64_LIST, packed)


def bytes_feature(name: str, values: pa.Array) -> pa.LargeBinaryArray:
    """Encodes a bytes feature for each value, large_binary [n]; null gives no feature."""
    return _feature(name, _BYTES_LIST, values.cast(pa.large_binary()))


def _feature(name: str, kind: int, payload: pa.LargeBinaryArray) -> pa.LargeBinaryArray:
    sizes = pc.binary_length(payload)
    longest = pc.max(sizes).as_py() or 0
    # Rounded up, so that buckets share the cached table.
    prefix = _prefixes(name, kind, max(511, (1 << longest.bit_length()) - 1)).take(sizes)
    joined = pc.binary_join_element_wise(prefix, payload, pa.scalar(b"", pa.large_binary()))
    return joined.fill_null(b"")


def encode_examples(features: Sequence[pa.LargeBinaryArray]) -> list[bytes]:
    """Serializes one Example per row.

    Args:
        features: large_binary [n] of each feature, in alphabetical order of the names.
    """
    sizes = np.sum([pc.binary_length(f).to_numpy(zero_copy_only=False) for f in features], axis=0)
    if len(sizes) == 0:
        return []
    longest = int(sizes.max())
    prefix = _example_prefixes(max(4095, (1 << longest.bit_length()) - 1)).take(pa.array(sizes))
    separator = pa.scalar(b"", pa.large_binary())
    return pc.binary_join_element_wise(prefix, *features, separator).to_pylist()
