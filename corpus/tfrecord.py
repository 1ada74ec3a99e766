"""TFRecord framing: length, its checksum, data, its checksum.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MASK_DELTA = 0xA282EAD8
_HEADER_BYTES = 12
_FOOTER_BYTES = 4


def masked_crc(data: bytes) -> int:
    """Returns the masked CRC-32C that the format stores."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


@lru_cache(maxsize=1 << 14)
def _header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc(packed))


def frame(records: Iterable[bytes] | pa.LargeBinaryArray) -> bytes:
    """Returns the bytes of a TFRecord file with the given records."""
    if isinstance(records, pa.LargeBinaryArray):
        array = records
    else:
        array = pa.array(list(records), pa.large_binary())
    lengths = pc.binary_length(array).dictionary_encode()
    headers = pa.array(map(_header, lengths.dictionary.to_pylist()), pa.large_binary())
    crcs = np.fromiter(map(google_crc32c.value, array.to_pylist()), np.uint32, len(array))
    footers = ((crcs >> 15) | (crcs << 17)) + np.uint32(_MASK_DELTA)
    framed = pc.binary_join_element_wise(
        headers.take(lengths.indices),
        array,
        _four_bytes(footers),
        pa.scalar(b"", pa.large_binary()),
    )
    if not len(framed):
        return b""  # Arrow's buffer of no values need not be empty
    data: pa.Buffer = framed.buffers()[2]  # the values one after the other, which is the file
    return data.to_pybytes()


def _four_bytes(values: np.ndarray) -> pa.LargeBinaryArray:
    """Returns uint32 [n] as large_binary [n], little-endian."""
    offsets = np.arange(0, 4 * len(values) + 1, 4)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values.astype("<u4"))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(values), buffers)


class BadRecordError(Exception):
    """The data is not a whole TFRecord file; the message gives the reason and byte offset."""


def find_records(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields where each record of a file begins and ends, after comparing its checksums.

    Args:
        data: The file's bytes.

    Yields:
        Offset of the record's first byte, and of the byte after its last one.

    Raises:
        BadRecordError: At the first byte that does not fit.
    """
    crc32c, unpack = google_crc32c.value, struct.Struct("<I").unpack
    position = 0
    while position < len(data):
        begin = position + _HEADER_BYTES
        header = data[position:begin]
        if len(header) < _HEADER_BYTES:
            raise BadRecordError(f"truncated at byte offset {position}")
        length = int.from_bytes(header[:8], "little")
        if header != _header(length):
            raise BadRecordError(f"wrong length checksum at byte offset {position}")
        end = begin + length
        footer = data[end : end + _FOOTER_BYTES]
        if len(footer) < _FOOTER_BYTES:
            raise BadRecordError(f"truncated at byte offset {position}")
        crc = crc32c(data[begin:end])
        if unpack(footer)[0] != (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF:
            raise BadRecordError(f"wrong data checksum at byte offset {position}")
        yield begin, end
        position = end + _FOOTER_BYTES


def read_frames(data: bytes) -> Iterator[bytes]:
    """Yields the records of a file's bytes, with every checksum compared.

    Raises:
        BadRecordError: At the first byte that does not fit.
    """
    for begin, end in find_records(data):
        yield data[begin:end]
