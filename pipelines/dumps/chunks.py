"""Cuts a dump into chunks of whole lines, the unit of columnar processing."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from rejoinder import storage
from rejoinder.pipelines.dumps.codecs import DamagedArchiveError
from rejoinder.pipelines.dumps.content import read_content
from rejoinder.pipelines.dumps.decompress import read_stored

# Also the limit of a line's length, newline included; all known comments are below 1 MiB.
CHUNK_BYTES = 16 << 20
# Bytes kept of a longer line, for the report of rejects.
_EXCERPT_BYTES = 200
_NEWLINE = ord("\n")
# Newlines are counted in slices whose comparison fits the processor's cache.
_SLICE_BYTES = 256 << 10


@dataclass(frozen=True)
class Chunk:
    """Whole lines of one file.

    Attributes:
        data: The lines with their newlines; the last line of a file may have none.
        first_line: Line number of the first one, from 1.
        lines: Number of lines.
        oversize: Whether the chunk is one line that exceeds the limit; `data` is its
            beginning.
        index: Number of the chunk in the file, from 0.
        blocks: Bytes and newlines of each block of the data, by which a line is found; empty
            if they are not known.
    """

    data: bytes
    first_line: int
    lines: int
    oversize: bool = False
    index: int = 0
    blocks: tuple[tuple[int, int], ...] = field(default=(), compare=False, repr=False)


@dataclass
class FileSummary:
    """Figures of a file, complete once `read_chunks` has ended.

    Attributes:
        stored_bytes: Number of bytes read from storage.
        sha256: SHA-256 of those bytes, hex, if it was asked for.
        lines: Number of lines in the file.
        damage: Error message if the archive was damaged and `keep_damaged` accepted it.
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

    The end of a chunk depends only on the decompressed bytes, so several workers can
    share one archive: each decompresses it up to the end of its range and receives the
    chunks that end in the range.

    Args:
        path: Local path or URL of the file.
        summary: Updated while the file is read.
        begin: First stored byte of the range.
        end: End of the range, where reading stops; None is the end of the file, and only
            then `summary` is about the whole file.
        checksum: Whether to compute the SHA-256 of the stored bytes.
        keep_damaged: Whether damage ends the data and sets `summary.damage` instead of
            raising an error.
        chunk_bytes: Size of a chunk, and limit of a line's length.
        limit: Number of lines to read; 0 reads all.
        progress: Called with the number of stored bytes read so far.

    Raises:
        UserError: The file cannot be read or, as `DamagedArchiveError`, is damaged.
    """
    blocks = file_blocks(path, summary, checksum, keep_damaged, progress)
    yield from cut_chunks(
        blocks, summary, begin=begin, end=end, chunk_bytes=chunk_bytes, limit=limit
    )


def cut_chunks(
    blocks: Generator[bytes, None, None],
    summary: FileSummary,
    *,
    begin: int = 0,
    end: int | None = None,
    chunk_bytes: int = CHUNK_BYTES,
    limit: int = 0,
) -> Iterator[Chunk]:
    """Cuts the decompressed bytes of a file into chunks; see `read_chunks`.

    Args:
        blocks: The bytes. Closed when reading stops before their end.
        summary: Its `stored_bytes` is the position in the file behind the last block; its
            `lines` is updated.
        begin: First stored byte of the range.
        end: End of the range.
        chunk_bytes: Size of a chunk, and limit of a line's length.
        limit: Number of lines to read; 0 reads all.
    """
    first_line = 1
    for index, (pieces, counts, lines, oversize) in enumerate(_cut(blocks, chunk_bytes)):
        stored = summary.stored_bytes
        if end is not None and stored >= end:
            blocks.close()
            break
        left = limit - summary.lines
        if limit and lines > left:
            pieces, lines = [b"\n".join(b"".join(pieces).split(b"\n", left)[:left])], left
            counts = [left]
        if stored >= begin:
            data = b"".join(pieces)
            sizes = tuple(zip(map(len, pieces), counts, strict=True))
            yield Chunk(data, first_line, lines, oversize, index, sizes)
        first_line += lines
        summary.lines += lines
        if limit and summary.lines >= limit:
            blocks.close()  # the summary has no checksum then: part of the file was not read
            break


class _Counted:
    """A file that counts, and hashes if there is a digest, the bytes read from it."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash | None") -> None:
        self._file, self._digest, self.bytes = file, digest, 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.bytes += len(data)
        if self._digest is not None:
            self._digest.update(data)
        return data


def file_blocks(
    path: str,
    summary: FileSummary,
    checksum: bool,
    keep_damaged: bool,
    progress: Callable[[int], None],
) -> Generator[bytes, None, None]:
    """Yields the decompressed bytes of a file; see `read_chunks` for the arguments."""
    digest = hashlib.sha256() if checksum else None
    with storage.open_read(path) as file:
        source = _Counted(file, digest)
        try:
            for block, stored in read_content(path, source):
                summary.stored_bytes = stored
                progress(stored)
                yield block
        except DamagedArchiveError as error:
            if not keep_damaged:
                raise
            summary.damage = str(error)
        while read_stored(path, source, source.bytes, 1 << 20):
            pass  # the bytes after the damage
        summary.stored_bytes = source.bytes  # includes bytes after the last block
    if digest is not None:
        summary.sha256 = digest.hexdigest()


def _newlines(data: bytes) -> int:
    values = np.frombuffer(data, np.uint8)
    slices = (values[at : at + _SLICE_BYTES] for at in range(0, len(values), _SLICE_BYTES))
    return sum(int(np.count_nonzero(values == _NEWLINE)) for values in slices)


def _cut(
    blocks: Iterator[bytes], chunk_bytes: int
) -> Iterator[tuple[list[bytes], list[int], int, bool]]:
    """Cuts blocks at the last newline in each `chunk_bytes` of them.

    Yields:
        (pieces, counts, lines, oversize): A chunk in pieces, not joined because the caller
        may skip it; the newlines of each piece; its number of lines; and whether it is the
        beginning of a line that exceeds `chunk_bytes`.
    """
    parts: list[bytes] = []
    counts: list[int] = []  # newlines of each part
    size = 0
    skipping = b""  # beginning of a line that is too long, until its end is found
    for block in blocks:
        rest = block
        while rest:
            if skipping:
                end = rest.find(b"\n")
                if end < 0:
                    break
                yield [skipping], [0], 1, True
                skipping, rest = b"", rest[end + 1 :]
                continue
            room = chunk_bytes - size
            parts.append(rest[:room])
            size += len(parts[-1])
            # Counted now, while the processor's cache holds the block.
            counts.append(_newlines(parts[-1]))
            rest = rest[room:]
            if size < chunk_bytes:
                continue
            last = next((i for i in reversed(range(len(parts))) if counts[i]), -1)
            if last < 0:
                skipping = b"".join(parts)[:_EXCERPT_BYTES]
                parts, counts, size = [], [], 0
                continue
            end = parts[last].rfind(b"\n") + 1
            whole = [*parts[:last], parts[last][:end]]
            parts, whole_counts = [parts[last][end:], *parts[last + 1 :]], counts[: last + 1]
            counts, size = [0] * len(parts), sum(map(len, parts))
            yield whole, whole_counts, sum(whole_counts), False
    if skipping:
        yield [skipping], [0], 1, True
    elif size:
        unended = not next(part for part in reversed(parts) if part).endswith(b"\n")
        yield parts, counts, sum(counts) + unended, False
