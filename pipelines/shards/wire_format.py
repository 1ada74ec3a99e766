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

from rejoinder.corpus.varint import encode_varint

_LENGTH_DELIMITED = 2
# Field numbers in feature.proto.
_BYTES_LIST, _INT64_LIST = 1, 3


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


def encode_examples(features: Sequence[pa.LargeBinaryArray]) -> pa.LargeBinaryArray:
    """Serializes one Example per row.

    Args:
        features: large_binary [n] of each feature, in alphabetical order of the names.

    Returns:
        large_binary [n].
    """
    sizes = np.sum([pc.binary_length(f).to_numpy(zero_copy_only=False) for f in features], axis=0)
    longest = int(sizes.max(initial=0))
    prefix = _example_prefixes(max(4095, (1 << longest.bit_length()) - 1)).take(pa.array(sizes))
    separator = pa.scalar(b"", pa.large_binary())
    return pc.binary_join_element_wise(prefix, *features, separator)
