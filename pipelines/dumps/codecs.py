"""The compression formats of dumps: their decoders, and how a file's format is found."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import zstandard

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps import foreign

# Pushshift's dumps are written with `--long=31`.
MAX_WINDOW = 1 << 31
_GZIP_WBITS = 31


class DamagedArchiveError(UserError):
    """The archive is truncated or corrupt; the data before the damage was returned."""


class _ZstdFrame:
    """Decoder of one zstd frame or skippable frame, with the interface of `bz2.BZ2Decompressor`."""

    needs_input = True

    def __init__(self) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._decoder.decompress(data)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data


class _GzipMember:
    """Decoder of one gzip member, with the interface of `bz2.BZ2Decompressor`."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(_GZIP_WBITS)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max(max_length, 0))

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data


class Codec(NamedTuple):
    """A compression format.

    Attributes:
        ending: Ending of file names.
        decoder: Makes a decoder of one frame.
        magics: The possible first bytes of a frame.
        may_pad: Whether zero bytes may follow a frame.
    """

    ending: str
    decoder: Callable[[], Any]
    magics: tuple[bytes, ...]
    may_pad: bool


_SKIPPABLE = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
CODECS = {
    "zstd": Codec(".zst", _ZstdFrame, (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), False),
    "bzip2": Codec(".bz2", bz2.BZ2Decompressor, (b"BZh",), False),
    "xz": Codec(".xz", lzma.LZMADecompressor, (b"\xfd7zXZ\x00",), True),
    "gzip": Codec(".gz", _GzipMember, (b"\x1f\x8b",), True),
}


def codec_of(head: bytes) -> str | None:
    """Returns the name of the codec that a file's first bytes have, None if they have none."""
    return next((name for name, c in CODECS.items() if head.startswith(c.magics)), None)


def find_codec(path: str, head: bytes) -> str | None:
    """Finds the codec of a file.

    Args:
        path: The file's name.
        head: Its first bytes, at least `foreign.HEAD_BYTES` if it is that long.

    Returns:
        The codec's name, None for a plain file.

    Raises:
        UserError: The file is not a dump, or, as `DamagedArchiveError`, its content is not in
            the format of its name.
    """
    what = foreign.describe(head)
    found = codec_of(head)
    named = next((name for name, c in CODECS.items() if path.endswith(c.ending)), None)
    if named is not None and named != found:
        content = f"is a {found} file" if found else f"begins with {head[:8]!r}"
        raise DamagedArchiveError(
            f"{path}: has the name of a {named} file but {content if head else 'is empty'} "
            f"(byte offset 0); {f'it {what}' if what else 'download it again or rename it'}"
        )
    if what:
        raise UserError(f"{path}: {what}")
    return found
