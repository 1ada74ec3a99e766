"""TFRecord framing: length, its checksum, data, its checksum.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

import google_crc32c

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


def frame(records: Iterable[bytes]) -> bytes:
    """Returns the bytes of a TFRecord file that holds `records`."""
    crc32c, pack = google_crc32c.value, struct.Struct("<I").pack
    parts: list[bytes] = []
    add = parts.append
    for record in records:
        crc = crc32c(record)
        add(_header(len(record)))
        add(record)
        add(pack((((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF))
    return b"".join(parts)


class BadRecordError(Exception):
    """The file is no whole TFRecord file; the message says where and why."""


def read_frames(data: bytes) -> Iterator[bytes]:
    """Yields the records of a file's bytes, with every checksum compared.

    Raises:
        BadRecordError: at the first byte that does not fit.
    """
    view = memoryview(data)
    position = 0
    while position < len(data):
        header = bytes(view[position : position + _HEADER_BYTES])
        if len(header) < _HEADER_BYTES:
            raise BadRecordError(f"truncated at byte offset {position}")
        (length,) = struct.unpack("<Q", header[:8])
        if header != _header(length):
            raise BadRecordError(f"wrong length checksum at byte offset {position}")
        start = position + _HEADER_BYTES
        record = bytes(view[start : start + length])
        footer = bytes(view[start + length : start + length + _FOOTER_BYTES])
        if len(record) + len(footer) < length + _FOOTER_BYTES:
            raise BadRecordError(f"truncated at byte offset {position}")
        if struct.unpack("<I", footer)[0] != masked_crc(record):
            raise BadRecordError(f"wrong data checksum at byte offset {position}")
        yield record
        position = start + length + _FOOTER_BYTES
