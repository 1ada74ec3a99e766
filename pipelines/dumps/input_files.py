"""Finds the input files of a run and divides them among workers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.errors import UserError

# Approximate decompressed bytes per stored byte, by file ending: used only to choose
# the number of buckets and to estimate times.
_EXPANSION = {".zst": 10, ".zst_blocks": 9, ".xz": 11, ".bz2": 8, ".gz": 6}
# A bucket of this many decompressed bytes has about 200,000 comments, half of them
# filtered, and needs 0.5 GiB of memory while it is processed.
_BUCKET_BYTES = 256 << 20
_MIN_BUCKETS, _MAX_BUCKETS = 4, 16_384
# Each worker that shares an archive decompresses it up to the end of its part; below
# this size of a part that costs more than it saves.
_MIN_PART_BYTES = 4 << 20
# Time to decompress, as a share of the time to parse, filter and partition: used only to
# make parts that take equally long.
_SKIP_COST = {".zst": 0.15, ".zst_blocks": 0.2, ".xz": 2.2, ".bz2": 5.6, ".gz": 0.75}
_SKIP_COST_PLAIN = 0.05

_SUBMISSIONS = re.compile(r"(^|/)RS_[^/]*$")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Part:
    """A worker's part of one file: the chunks that end in a range of its stored bytes.

    Attributes:
        path: The file.
        size: Its size in stored bytes.
        begin: First byte of the range.
        end: End of the range; None for the last part, which reads to the end of the
            file, even if the file has grown.
    """

    path: str
    size: int
    begin: int = 0
    end: int | None = None

    @property
    def is_last(self) -> bool:
        """Whether its worker reads the whole file."""
        return self.end is None

    @property
    def length(self) -> int:
        """Number of stored bytes in the range."""
        return (self.size if self.end is None else self.end) - self.begin


def expand(
    patterns: Sequence[str],
    default_patterns: Sequence[str] = ("RC_*",),
    *,
    accept_submissions: bool = False,
) -> list[storage.FileEntry]:
    """Finds the files that paths, folders, globs and comma-separated lists of them name.

    Args:
        patterns: The user's input.
        default_patterns: Globs of the file names to read in a folder.
        accept_submissions: Whether RS_ files, Reddit's submissions, are accepted.

    Returns:
        The files, sorted by path.

    Raises:
        UserError: A pattern matches no file, or submissions are not accepted.
    """
    found: dict[str, storage.FileEntry] = {}
    for pattern in (p for group in patterns for p in group.split(",") if p):
        entries = storage.glob(pattern)
        if not entries and not _GLOB.search(pattern):
            entries = [
                entry
                for name in default_patterns
                for entry in storage.glob(storage.join(pattern, name))
            ]
        if not entries:
            raise UserError(f"{pattern}: no such file, and no file matches this pattern")
        found.update((entry.path, entry) for entry in entries)
    submissions = [path for path in found if _SUBMISSIONS.search(path)]
    if submissions and not accept_submissions:
        raise UserError(
            f"{submissions[0]}: RS_ files hold submissions, not comments; "
            "give the RC_ files of the same months"
        )
    return sorted(found.values())


def text_bytes(files: Sequence[storage.FileEntry]) -> int:
    """Returns an estimate of the files' decompressed size in bytes."""
    return sum(
        file.size * next((x for end, x in _EXPANSION.items() if file.path.endswith(end)), 1)
        for file in files
    )


def choose_buckets(files: Sequence[storage.FileEntry]) -> int:
    """Returns the number of buckets, and of shards per split; it depends on the input alone."""
    wanted = -(-text_bytes(files) // _BUCKET_BYTES)
    return min(max(wanted, _MIN_BUCKETS), _MAX_BUCKETS)


def divide(files: Sequence[storage.FileEntry], workers: int) -> list[Part]:
    """Divides files into parts; the result of a run does not depend on the division.

    Args:
        files: The input files.
        workers: Number of workers; a large file is divided among several.
    """
    total = sum(file.size for file in files)
    share = max(total // max(workers, 1), _MIN_PART_BYTES)
    parts: list[Part] = []
    for file in files:
        count = 1 if workers <= 1 else min(max(-(-file.size // share), 1), workers)
        parts.extend(_divide_file(file, count))
    return parts


def _divide_file(file: storage.FileEntry, count: int) -> list[Part]:
    """Divides a file into parts that take equally long.

    Every worker decompresses the file from its start. If that takes time c per byte and
    processing takes time 1, the part after one of width w has to be w / (1 + c) wide.
    """
    endings = (cost for ending, cost in _SKIP_COST.items() if file.path.endswith(ending))
    shrink = 1 / (1 + next(endings, _SKIP_COST_PLAIN))
    total = sum(shrink**index for index in range(count))
    bounds, width = [0], file.size / total
    for index in range(count - 1):
        bounds.append(min(bounds[-1] + max(round(width * shrink**index), 1), file.size))
    ends = [*bounds[1:], None]
    return [Part(file.path, file.size, *span) for span in zip(bounds, ends, strict=True)]
