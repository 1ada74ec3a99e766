"""Cuts a dump into chunks of whole lines, the unit of columnar work."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np

from rejoinder import storage
from rejoinder.pipelines.dumps.decompress import DamagedArchiveError, read_blocks, read_stored

# A line may be this long, newline included: the longest comment known is far below 1 MiB.
CHUNK_BYTES = 16 << 20
# What is kept of a longer line, for the report.
_EXCERPT_BYTES = 200
_NEWLINE = ord("\n")
_CACHE_BYTES = 64 << 10


@dataclass(frozen=True)
class Chunk:
    """Whole lines of one file.

    Attributes:
        data: The lines, each but perhaps the file's last with its newline.
        first_line: Number of the first one, from 1.
        lines: How many there are.
        oversize: The chunk is one line longer than the limit, and `data` only its beginning.
        index: Its number in the file, from 0.
    """

    data: bytes
    first_line: int
    lines: int
    oversize: bool = False
    index: int = 0


@dataclass
class FileSummary:
    """What was seen of a file once `read_chunks` has been exhausted.

    Attributes:
        stored_bytes: Bytes read from storage.
        sha256: Of those bytes, hex, where asked for.
        lines: Lines in the file.
        damage: Message if the archive was damaged and `keep_damaged` allowed it.
    """

    stored_bytes: int = 0
    sha256: str | None = None
    lines: int = 0
    damage: str | None = None


def read_chunks(
    path: str,
    summary: FileSummary,
    *,
    begin: int = 0,
    end: int | None = None,
    checksum: bool = True,
    keep_damaged: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
    limit: int = 0,
    progress: Callable[[int], None] = lambda stored: None,
) -> Iterator[Chunk]:
    """Yields the chunks of a file that end in a range of its stored bytes.

    Where a chunk ends depends only on the decompressed bytes, so several workers
    can share one archive: each decompresses it as far as its range goes, and
    parses what ends in there.

    Args:
        path: Local path or any that Beam can open.
        summary: Filled in on the way.
        begin: Stored bytes that are read before the first chunk ends.
        end: Stored bytes at which the range ends, and reading with it; None is the
            end of the file. Only then `summary` knows all of the file.
        checksum: Whether to compute the sha256 of the stored bytes.
        keep_damaged: End quietly at damage, with `summary.damage` set, instead of raising.
        chunk_bytes: Size of a chunk and longest line accepted.
        limit: Stop after this many lines; 0 reads all.
        progress: Called with the number of stored bytes read so far.

    Raises:
        UserError: the file cannot be read or, as `DamagedArchiveError`, is damaged.
    """
    first_line = 1
    blocks = _blocks(path, summary, checksum, keep_damaged, progress)
    for index, (pieces, lines, oversize) in enumerate(_cut(blocks, chunk_bytes)):
        stored = summary.stored_bytes
        if end is not None and stored >= end:
            blocks.close()
            break
        left = limit - summary.lines
        if limit and lines > left:
            pieces, lines = [b"\n".join(b"".join(pieces).split(b"\n", left)[:left])], left
        if stored >= begin:
            data = b"".join(pieces)
            yield Chunk(data, first_line, lines, oversize, index)
        first_line += lines
        summary.lines += lines
        if limit and summary.lines >= limit:
            blocks.close()  # and the summary has no checksum: the file was not read to its end
            break


class _Counted:
    """Counts and, if asked to, hashes what is read through it."""

    def __init__(self, file, digest) -> None:
        self._file, self._digest, self.bytes = file, digest, 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.bytes += len(data)
        if self._digest is not None:
            self._digest.update(data)
        return data


def _blocks(
    path: str,
    summary: FileSummary,
    checksum: bool,
    keep_damaged: bool,
    progress: Callable[[int], None],
) -> Generator[bytes, None, None]:
    digest = hashlib.sha256() if checksum else None
    with storage.open_read(path) as file:
        source = _Counted(file, digest)
        try:
            for block, stored in read_blocks(path, source):  # type: ignore[arg-type]
                summary.stored_bytes = stored
                progress(stored)
                yield block
        except DamagedArchiveError as error:
            if not keep_damaged:
                raise
            summary.damage = str(error)
        while read_stored(path, source, source.bytes, 1 << 20):  # type: ignore[arg-type]
            pass  # behind damage
        summary.stored_bytes = source.bytes  # also those that gave no text
    if digest is not None:
        summary.sha256 = digest.hexdigest()


def count_newlines(data: bytes) -> int:
    """Returns the number of lines that end in `data`; `bytes.count` is several times slower."""
    values = np.frombuffer(data, np.uint8)
    # In steps whose comparison stays in the processor's cache.
    return sum(
        int(np.count_nonzero(values[at : at + _CACHE_BYTES] == _NEWLINE))
        for at in range(0, len(values), _CACHE_BYTES)
    )


def _cut(blocks: Iterator[bytes], chunk_bytes: int) -> Iterator[tuple[list[bytes], int, bool]]:
    """Yields (pieces, lines, oversize): `chunk_bytes` at a time, cut at the last newline in them.

    Joining the pieces is left to whoever wants the chunk.
    """
    parts: list[bytes] = []
    size = 0
    skipping = b""  # beginning of a line that is too long, while its end is awaited
    for block in blocks:
        rest = block
        while rest:
            if skipping:
                end = rest.find(b"\n")
                if end < 0:
                    break
                yield [skipping], 1, True
                skipping, rest = b"", rest[end + 1 :]
                continue
            room = chunk_bytes - size
            parts.append(rest[:room])
            size += len(parts[-1])
            rest = rest[room:]
            if size < chunk_bytes:
                continue
            last = next((i for i in reversed(range(len(parts))) if b"\n" in parts[i]), -1)
            if last < 0:
                skipping = b"".join(parts)[:_EXCERPT_BYTES]
                parts, size = [], 0
                continue
            end = parts[last].rfind(b"\n") + 1
            whole = [*parts[:last], parts[last][:end]]
            parts = [parts[last][end:], *parts[last + 1 :]]
            size = sum(map(len, parts))
            yield whole, sum(map(count_newlines, whole)), False
    if skipping:
        yield [skipping], 1, True
    elif size:
        unended = not next(part for part in reversed(parts) if part).endswith(b"\n")
        yield parts, sum(map(count_newlines, parts)) + unended, False
