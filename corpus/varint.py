"""Protobuf's variable-length integers, one at a time and in columns.

Format: https://protobuf.dev/programming-guides/encoding/#varints
"""

from functools import lru_cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_BITS = 7
# uint32 [5]: the first `size` bytes of element `size` are 1, the others 0.
_KEPT_BYTES = np.tri(5, 4, -1, np.uint8).view("<u4").reshape(-1)


def encode_varint(value: int) -> bytes:
    """Returns a non-negative integer as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= _BITS
    out.append(value)
    return bytes(out)


def encode_varints(
    values: NDArray[np.integer], row_splits: NDArray[np.int64]
) -> pa.LargeBinaryArray:
    """Encodes each row of a ragged array as packed varints.

    Args:
        values: int [m], each in [0, 2^28).
        row_splits: int64 [n + 1], row boundaries in `values`.

    Returns:
        large_binary [n].
    """
    # The bytes of a varint from the lowest to the highest bits: one little-endian uint32.
    value: NDArray[np.integer] = values.astype("<u4")
    packed = value & 0x7F
    sizes = np.ones(len(value), np.uint8)
    for index in range(1, 4):
        longer = value >= 1 << _BITS * index
        if not longer.any():
            break
        sizes += longer
        packed |= (value & 0x7F << _BITS * index) << index
        packed |= longer.astype("<u4") << 8 * index - 1  # more bytes follow the one before
    out = packed.view(np.uint8)[_KEPT_BYTES[sizes].view(np.bool_)]
    starts = np.zeros(len(value) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(row_splits) - 1,
        [None, pa.py_buffer(starts[row_splits]), pa.py_buffer(out)],
    )


def encode_token_ids(
    ids: NDArray[np.integer], row_splits: NDArray[np.int64]
) -> pa.LargeBinaryArray:
    """Encodes each row of a ragged array as packed varints, with a table of all smaller values.

    Args:
        ids: int [m], each in [0, 2^21).
        row_splits: int64 [n + 1], row boundaries in `ids`.

    Returns:
        large_binary [n], equal to the result of `encode_varints`.
    """
    encoded = _encoded(int(ids.max(initial=0)).bit_length()).take(pa.array(ids))
    _, offsets, data = encoded.buffers()
    starts = np.frombuffer(offsets, np.int64)[: len(ids) + 1]
    buffers = [None, pa.py_buffer(starts[row_splits]), data]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(row_splits) - 1, buffers)


@lru_cache(maxsize=4)
def _encoded(bits: int) -> pa.LargeBinaryArray:
    """Returns large_binary [2^bits], the varint of each value."""
    values = np.arange(1 << bits)
    return encode_varints(values, np.append(values, len(values)))


def decode_varints(
    data: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Reads rows of packed varints, the inverse of `encode_varints`.

    Args:
        data: uint8, the buffer that holds all rows.
        begin: int64 [n], the first byte of each row.
        end: int64 [n], the byte after each row's last.

    Returns:
        Values int64 [m], row_splits int64 [n + 1].
    """
    packed = data[ranges(begin, end)]
    last = packed < 0x80
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)[: len(ends)]
    values = (packed[starts] & 0x7F).astype(np.int64)
    # Most ids need two or three bytes: each pass adds the next byte of those that have one.
    position, rows = starts, np.arange(len(ends))
    for shift in range(_BITS, 64, _BITS):
        longer = position < ends[rows]
        position, rows = position[longer] + 1, rows[longer]
        if not len(rows):
            break
        values[rows] |= (packed[position] & 0x7F).astype(np.int64) << shift
    counts = np.concatenate([[0], np.cumsum(last)])
    boundaries = np.concatenate([[0], np.cumsum(end - begin)])
    return values, counts[boundaries]


def ranges(begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the integers of each half-open range [begin, end), one range after the other."""
    lengths = end - begin
    offsets = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(begin - offsets, lengths)
