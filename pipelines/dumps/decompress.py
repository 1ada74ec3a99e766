"""Decompression of all codecs and frames with bounded output; truncation is an error.

Beam's readers and `zstandard`'s `stream_reader` treat the end of the file as the end
of the data. Here a file that ends inside a frame is an error that names the byte
offset.
"""

import lzma
import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.codecs import CODECS, DamagedArchiveError, find_codec

# Compressed bytes given to a decoder at once. Small, because the output of zstd's decoder
# has no limit: the worst frame (4 bytes to a 128 KiB block) expands them to 256 MiB.
READ_BYTES = 8 << 10
# Limit of the decompressed bytes that the other codecs return at once.
_MAX_OUTPUT = 4 << 20


class Readable(Protocol):
    """A file that is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """Returns the next `size` bytes, fewer at the end of the file."""


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
    _, make_decoder, magics, may_pad = CODECS[codec]
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
