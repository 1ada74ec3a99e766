"""Decompression that never ends in silence: every codec, every frame, bounded output.

Beam's own readers (and `zstandard`'s `stream_reader`) treat the end of the file
as the end of the data. A dump that stops in the middle of a frame is an error
here, with the byte offset at which it stops.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import zstandard

from rejoinder.errors import UserError

# Compressed bytes given to a decoder at once. Small, because zstd's decoder cannot
# be told to stop: the worst frame (4 bytes to a 128 KiB block) makes 256 MiB of it.
FEED_BYTES = 8 << 10
# Decompressed bytes that the other codecs may return at once.
_MAX_OUTPUT = 4 << 20
# Pushshift's dumps are written with `--long=31`.
_MAX_WINDOW = 1 << 31

_GZIP_WBITS = 31


class DamagedArchiveError(UserError):
    """The archive is truncated or corrupt; what came before the damage was delivered."""


class _ZstdFrame:
    """One zstd frame (or skippable frame) behind the interface of `bz2.BZ2Decompressor`."""

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
    """One gzip member behind the interface of `bz2.BZ2Decompressor`."""

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
    """File ending, decoder of one frame, a frame's first bytes, whether zeros may follow it."""

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
# Archives that hold files, not one stream of lines.
_FOREIGN = {b"PK\x03\x04": "zip", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}


def find_codec(path: str, head: bytes) -> str | None:
    """Returns the codec's name (None: plain) from the file's name and first bytes.

    Raises:
        UserError: name and content contradict each other, or it is an archive of files.
    """
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            raise UserError(f"{path}: is a {kind} archive; unpack it first")
    found = next((name for name, c in _CODECS.items() if head.startswith(c.magics)), None)
    named = next((name for name, c in _CODECS.items() if path.endswith(c.ending)), None)
    if named is not None and named != found:
        what = f"a {found} file" if found else f"{head[:8]!r}" if head else "nothing at all"
        raise DamagedArchiveError(
            f"{path}: is named as a {named} file but begins with {what} at byte offset 0; "
            "fetch it again or rename it"
        )
    return found


def read_blocks(path: str, file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yields decompressed blocks with the number of stored bytes read so far.

    Args:
        path: The file's name, for codec and messages.
        file: Its stored bytes, at position 0.

    Raises:
        DamagedArchiveError: after everything before the damage has been yielded.
        UserError: not a kind of file that can be read.
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
                data += more  # enough to see the next frame's magic number
            if not data.startswith(magics):
                reason = "what follows the last frame is no frame"
                raise _damaged(path, codec, "corrupt", position, position, reason)
            decoder, started = make_decoder(), position
        else:
            position += len(data)
            data = read_stored(path, file, position)
            if not data:
                raise _damaged(path, codec, "truncated", position, started, "the file ends here")


def read_stored(path: str, file: BinaryIO, position: int, size: int = FEED_BYTES) -> bytes:
    """Returns the next stored bytes of a file; `position` is where they begin, for the message.

    Raises:
        UserError: the file system failed.
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
        f"{started}: {reason}); fetch the file again, or take what can be read with "
        "--on-truncated=keep"
    )
