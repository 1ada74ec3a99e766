"""Decompression of all codecs and frames with bounded output; truncation is an error.

Beam's readers and `zstandard`'s `stream_reader` treat the end of the file as the end
of the data. Here a file that ends inside a frame is an error that names the byte
offset.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import zstandard

from rejoinder.errors import UserError

# Compressed bytes given to a decoder at once. Small, because the output of zstd's decoder
# has no limit: the worst frame (4 bytes to a 128 KiB block) expands them to 256 MiB.
READ_BYTES = 8 << 10
# Limit of the decompressed bytes that the other codecs return at once.
_MAX_OUTPUT = 4 << 20
# Pushshift's dumps are written with `--long=31`.
_MAX_WINDOW = 1 << 31

_GZIP_WBITS = 31


class Readable(Protocol):
    """A file that is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """Returns the next `size` bytes, fewer at the end of the file."""


class DamagedArchiveError(UserError):
    """The archive is truncated or corrupt; the data before the damage was returned."""


class _ZstdFrame:
    """Decoder of one zstd frame or skippable frame, with the interface of `bz2.BZ2Decompressor`."""

    needs_input = True

    def __init__(self) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()

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


class _Codec(NamedTuple):
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
_CODECS = {
    "zstd": _Codec(".zst", _ZstdFrame, (b"\x28\xb5\x2f\xfd", *_SKIPPABLE), False),
    "bzip2": _Codec(".bz2", bz2.BZ2Decompressor, (b"BZh",), False),
    "xz": _Codec(".xz", lzma.LZMADecompressor, (b"\xfd7zXZ\x00",), True),
    "gzip": _Codec(".gz", _GzipMember, (b"\x1f\x8b",), True),
}
# First bytes of archives that contain files instead of one stream of lines.
_FOREIGN = {b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}


def find_codec(path: str, head: bytes) -> str | None:
    """Finds the codec of a file.

    Args:
        path: The file's name.
        head: Its first bytes, at least 8 if it is that long.

    Returns:
        The codec's name, None for a plain file.

    Raises:
        UserError: The file is an archive of files, or, as `DamagedArchiveError`, its
            content is not in the format of its name.
    """
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            raise UserError(f"{path}: is a {kind} archive; unpack it first")
    found = next((name for name, c in _CODECS.items() if head.startswith(c.magics)), None)
    named = next((name for name, c in _CODECS.items() if path.endswith(c.ending)), None)
    if named is not None and named != found:
        content = f"is a {found} file" if found else f"begins with {head[:8]!r}"
        raise DamagedArchiveError(
            f"{path}: has the name of a {named} file but {content if head else 'is empty'} "
            "(byte offset 0); download it again or rename it"
        )
    return found


def read_blocks(path: str, file: Readable) -> Iterator[tuple[bytes, int]]:
    """Decompresses a file.

    Args:
        path: The file's name, for the codec and for messages.
        file: Its stored bytes, at position 0.

    Yields:
        (block, stored): Decompressed bytes, and the number of stored bytes read so far.

    Raises:
        DamagedArchiveError: After all data before the damage has been yielded.
        UserError: The file cannot be read.
    """
    data = read_stored(path, file, 0)
    codec = find_codec(path, data)
    if codec is None:
        position = 0
        while data:
            position += len(data)
            yield data, position
            data = read_stored(path, file, position, _MAX_OUTPUT)
        return
    _, make_decoder, magics, may_pad = _CODECS[codec]
    position = 0  # stored bytes before `data`
    decoder = make_decoder()
    started = 0  # stored offset of the current frame
    while True:
        while True:
            try:
                block = decoder.decompress(data, _MAX_OUTPUT)
            except (zstandard.ZstdError, OSError, lzma.LZMAError, zlib.error, EOFError) as error:
                raise _damaged(path, codec, "corrupt", position, started, str(error)) from error
            if block:
                yield block, position + len(data)
            if decoder.eof or decoder.needs_input:
                break
            position, data = position + len(data), b""
        if decoder.eof:
            rest = decoder.unused_data
            position += len(data) - len(rest)
            data = rest or read_stored(path, file, position)
            if may_pad:
                while data and not data.strip(b"\0"):
                    position += len(data)
                    data = read_stored(path, file, position)
                stripped = data.lstrip(b"\0")
                position, data = position + len(data) - len(stripped), stripped
            if not data:
                return
            while len(data) < 8 and (more := read_stored(path, file, position + len(data))):
                data += more  # until the next frame's magic number is complete
            if not data.startswith(magics):
                reason = "its magic number is wrong"
                raise _damaged(path, codec, "corrupt", position, position, reason)
            decoder, started = make_decoder(), position
        else:
            position += len(data)
            data = read_stored(path, file, position)
            if not data:
                raise _damaged(path, codec, "truncated", position, started, "the file ends here")


def read_stored(path: str, file: Readable, position: int, size: int = READ_BYTES) -> bytes:
    """Reads the next stored bytes of a file.

    Args:
        path: The file's name, for messages.
        file: The open file.
        position: Its current byte offset, for messages.
        size: Most bytes to return.

    Raises:
        UserError: The file system reported an error.
    """
    try:
        return file.read(size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read at byte offset {position} ({error})") from error


def _damaged(
    path: str, codec: str, how: str, position: int, started: int, reason: str
) -> DamagedArchiveError:
    return DamagedArchiveError(
        f"{path}: {how} {codec} archive at byte offset {position} (in the frame that starts at "
        f"{started}: {reason}); download the file again, or use the data before the damage with "
        "--on-truncated=keep"
    )
