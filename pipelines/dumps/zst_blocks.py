"""Reads `.zst_blocks` files, the form of Arctic Shift's dumps until 2024-03.

Format: https://github.com/ArthurHeitmann/zst_blocks_format. A file is a sequence of
blocks: uint32 size, then a zstd frame of that size. A decompressed block is uint32
`n`, then n times (uint32 offset, uint32 size), then the data of the rows. All numbers
are little-endian; offsets begin at the data of the rows.
"""

from collections.abc import Iterator

import numpy as np
import zstandard

from rejoinder.pipelines.dumps.codecs import MAX_WINDOW, DamagedArchiveError
from rejoinder.pipelines.dumps.decompress import READ_BYTES, Readable, read_stored

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SIZE_BYTES = 4
# Limit of a decompressed block. Writers put some hundred rows in a block.
_MAX_BLOCK_BYTES = 256 << 20


def matches(head: bytes) -> bool:
    """Returns whether a file with these first bytes is in this format."""
    return head[_SIZE_BYTES : _SIZE_BYTES + len(_ZSTD_MAGIC)] == _ZSTD_MAGIC


def read_rows(path: str, file: Readable) -> Iterator[tuple[bytes, int]]:
    """Reads the rows of a file as lines.

    Args:
        path: The file's name, for messages.
        file: Its stored bytes, at position 0.

    Yields:
        (lines, stored): The rows of one block, a line each, and the number of stored
        bytes read so far.

    Raises:
        DamagedArchiveError: After all blocks before the damage have been yielded.
        UserError: The file cannot be read.
    """
    position = 0
    while True:
        started = position
        header = _read(path, file, position, _SIZE_BYTES)
        if not header:
            return
        size = int.from_bytes(header, "little")
        position += len(header)
        block, read = _decompress(path, file, position, size, started)
        position += read
        yield _lines(path, block, started), position


def _read(path: str, file: Readable, position: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = read_stored(path, file, position + len(data), size - len(data))
        if not more:
            break
        data += more
    return data


def _decompress(
    path: str, file: Readable, position: int, size: int, started: int
) -> tuple[bytes, int]:
    """Returns a decompressed block and the number of stored bytes read for it."""
    decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
    parts, length, read = [], 0, 0
    while read < size:
        data = _read(path, file, position + read, min(READ_BYTES, size - read))
        if not data:
            raise _damaged(path, "truncated", position + read, started, "the file ends here")
        try:
            parts.append(decoder.decompress(data))
        except (zstandard.ZstdError, EOFError) as error:
            raise _damaged(path, "corrupt", position + read, started, str(error)) from error
        read += len(data)
        length += len(parts[-1])
        if length > _MAX_BLOCK_BYTES:
            reason = f"it decompresses to more than {_MAX_BLOCK_BYTES >> 20} MiB"
            raise _damaged(path, "corrupt", position + read, started, reason)
    if not decoder.eof:
        reason = "its zstd frame does not end where the block ends"
        raise _damaged(path, "corrupt", position + read, started, reason)
    return b"".join(parts), read


def _lines(path: str, block: bytes, started: int) -> bytes:
    """Returns the rows of a decompressed block, each with a newline."""
    count = int.from_bytes(block[:_SIZE_BYTES], "little")
    data_at = _SIZE_BYTES + count * 2 * _SIZE_BYTES
    if len(block) < max(data_at, _SIZE_BYTES):
        raise _damaged(path, "corrupt", started, started, f"it is too short for {count} rows")
    table = np.frombuffer(block, "<u4", count * 2, _SIZE_BYTES).astype(np.int64).reshape(-1, 2)
    begins = table[:, 0] + data_at
    ends = begins + table[:, 1]
    if count and (ends.max() > len(block) or table[:, 1].sum() > len(block) - data_at):
        raise _damaged(path, "corrupt", started, started, "its rows exceed it")
    rows = zip(begins.tolist(), ends.tolist(), strict=True)
    return b"".join(block[begin:end].rstrip(b"\n") + b"\n" for begin, end in rows)


def _damaged(path: str, how: str, position: int, started: int, reason: str) -> DamagedArchiveError:
    return DamagedArchiveError(
        f"{path}: {how} zst_blocks archive at byte offset {position} (in the block that starts "
        f"at {started}: {reason}); download the file again, or use the data before the damage "
        "with --on-truncated=keep"
    )
