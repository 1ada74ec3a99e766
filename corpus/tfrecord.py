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
    """Returns the bytes of a TFRecord file with the given records."""
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
