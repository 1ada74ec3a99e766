"""Finds the input files of a run and divides them among workers."""

import glob
import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
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
# A cluster reads a part of about this size in half a minute, and no month takes much longer.
_CLUSTER_PART_BYTES = 256 << 20
# Further parts are small, because their workers decompress almost the whole file first.
_MAX_PARTS = 8
# On a cluster every part costs money, so the last has to be at least this share of the first.
_SMALLEST_PART = 1 / 8
# Time to decompress, as a share of the time to parse, filter and partition: used only to
# make parts that take equally long.
_SKIP_COST = {".zst": 0.15, ".zst_blocks": 0.2, ".xz": 2.2, ".bz2": 5.6, ".gz": 0.75}
_SKIP_COST_PLAIN = 0.05

_SUBMISSIONS = re.compile(r"(^|/)RS_[^/]*$")
_GLOB = re.compile(r"[*?\[]")
# Checksums, torrents and unfinished downloads that lie beside dumps.
_COMPANION = re.compile(
    r"\.(sha(1|256|512)(sums?)?|md5(sums?)?|asc|sig|torrent|magnet|part|partial|aria2|crdownload|"
    r"download|filepart|tmp|temp|!qb|!ut|bc!|idx|gzi|meta4|metalink)$",
    re.IGNORECASE,
)
_ONE_SLASH = re.compile(r"([a-z0-9]{2,}):/[^/]")
# Beyond this number of paths none is compared with its neighbours for a space in a name.
_MAX_HINT_PATTERNS = 50


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

    Files that download tools put beside a dump are left out, with a note on standard error,
    unless a path names them.

    Args:
        patterns: The user's input.
        default_patterns: Globs of the file names to read in a folder.
        accept_submissions: Whether RS_ files, Reddit's submissions, are accepted.

    Returns:
        The files, sorted by path.

    Raises:
        UserError: A pattern is no path or matches no file, a file's name is not UTF-8, or
            submissions are not accepted.
    """
    found: dict[str, storage.FileEntry] = {}
    companions: set[str] = set()
    for pattern in patterns:
        for part in _split(pattern):
            entries = _find(part, default_patterns, patterns)
            kept = [e for e in entries if e.path == part or not _COMPANION.search(e.path)]
            companions.update(entry.path for entry in entries if entry not in kept)
            if not kept:
                raise UserError(f"{part}: matches only {_list(companions)}, which are not dumps")
            found.update((entry.path, entry) for entry in kept)
    if companions:
        print(f"ignored {_list(companions)}: not dumps", file=sys.stderr)
    for path in sorted(companions):
        if path.endswith(".aria2") and path.removesuffix(".aria2") in found:
            print(f"{path}: the download of the file beside it is not finished", file=sys.stderr)
    for path in found:
        _check_name(path)
    submissions = [path for path in found if is_submissions(path)]
    if submissions and not accept_submissions:
        raise UserError(
            f"{submissions[0]}: RS_ files hold submissions, not comments; "
            "give the RC_ files of the same months, or --submissions for both"
        )
    return sorted(found.values())


def _split(pattern: str) -> list[str]:
    """Returns the parts of a comma-separated list; a file whose name has commas is one."""
    if not pattern.strip():
        raise UserError("--input: is empty; give a file, a folder or a glob")
    parts = [part for part in pattern.split(",") if part]
    if len(parts) > 1 and storage.is_local(pattern) and os.path.exists(pattern):
        return [pattern]
    return parts


def _find(
    pattern: str, names: Sequence[str], patterns: Sequence[str]
) -> Sequence[storage.FileEntry]:
    """Returns the files of one path, folder or glob.

    Args:
        pattern: The path, folder or glob.
        names: Globs of the file names to read in a folder.
        patterns: All of the user's input, for a hint.

    Raises:
        UserError: There are none.
    """
    if entries := storage.glob(pattern):
        return entries
    if not _GLOB.search(pattern) or (storage.is_local(pattern) and os.path.isdir(pattern)):
        folder = glob.escape(pattern) if storage.is_local(pattern) else pattern
        if entries := [e for name in names for e in storage.glob(storage.join(folder, name))]:
            return entries
        if storage.exists(pattern):
            raise UserError(
                f"{pattern}: no such file in this folder: {', '.join(names)}; "
                f"{_suggest(pattern, folder, names)}"
            )
    raise UserError(
        f"{pattern}: no such file, and no file matches this pattern{_hint(pattern, patterns)}"
    )


def _suggest(folder: str, escaped: str, names: Sequence[str]) -> str:
    """Returns what to give instead of a folder without files of the expected names."""
    inside = [e.path for e in storage.glob(storage.join(escaped, "*"))]
    files = [path for path in inside if not _COMPANION.search(path)]
    if files:
        endings = {os.path.splitext(path)[1] for path in files}
        glob_name = f"*{endings.pop()}" if len(endings) == 1 else "*"
        return f"it has {_list(files)}; give a glob, such as '{storage.join(folder, glob_name)}'"
    deeper = [e.path for n in names for e in storage.glob(storage.join(escaped, "*", n))]
    if deeper:
        return f"give the folder {deeper[0].rsplit('/', 1)[0]}"
    return "it has no files"


def _list(paths: Iterable[str]) -> str:
    """Returns the first file's name and the number of the others."""
    names = sorted(_printable(path.rsplit("/", 1)[-1]) for path in paths)
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more"


def _hint(pattern: str, patterns: Sequence[str]) -> str:
    """Returns the end of the message about a pattern that names no file."""
    if pattern.startswith("~"):
        return "; the shell expands ~ only at the beginning of an argument without quotes"
    if found := _ONE_SLASH.match(pattern):
        return f"; write {found[1]}:// with two slashes"
    runs = (
        " ".join(patterns[start:end])
        for start in range(len(patterns))
        for end in range(start + 2, len(patterns) + 1)
    )
    if len(patterns) <= _MAX_HINT_PATTERNS and any(os.path.exists(path) for path in runs):
        return (
            "; quote a path with a space, and give it to the command itself, because make splits "
            "INPUT at spaces"
        )
    return ""


def _check_name(path: str) -> None:
    """Checks that a path is UTF-8, as it is written to the manifest."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(f"{_printable(path)}: the name is not UTF-8; rename the file") from None


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_submissions(path: str) -> bool:
    """Returns whether a file has the name of Reddit's submissions, `RS_…`."""
    return _SUBMISSIONS.search(path) is not None


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


def divide(files: Sequence[storage.FileEntry], workers: int | None) -> list[Part]:
    """Divides files into parts; the result of a run does not depend on the division.

    The parts that take longest come first, so that none of them is begun last.

    Args:
        files: The input files.
        workers: Number of local workers; a large file is divided among several. None is a
            cluster, where the number of a file's parts follows from its size and compression.
    """
    total = sum(file.size for file in files)
    share = max(total // workers, _MIN_PART_BYTES) if workers else _CLUSTER_PART_BYTES
    parts: list[Part] = []
    for file in files:
        most = min(workers or _useful_parts(file), _MAX_PARTS)
        parts.extend(_divide_file(file, min(max(-(-file.size // share), 1), most)))
    return sorted(parts, key=_text_bytes_of_part, reverse=True)


def _text_bytes_of_part(part: Part) -> int:
    return text_bytes([storage.FileEntry(part.path, part.length)])


def _shrink(file: storage.FileEntry) -> float:
    """Returns the width of a part as a share of the part before, so that both take equally long.

    Every worker decompresses the file from its start. If that takes time c per byte and
    processing takes time 1, the part after one of width w has to be w / (1 + c) wide.
    """
    endings = (cost for ending, cost in _SKIP_COST.items() if file.path.endswith(ending))
    return 1 / (1 + next(endings, _SKIP_COST_PLAIN))


def _useful_parts(file: storage.FileEntry) -> int:
    """Returns the number of parts that are wide enough."""
    return 1 + int(math.log(_SMALLEST_PART) / math.log(_shrink(file)))


def _divide_file(file: storage.FileEntry, count: int) -> list[Part]:
    """Divides a file into parts that take equally long."""
    shrink = _shrink(file)
    total = sum(shrink**index for index in range(count))
    bounds, width = [0], file.size / total
    for index in range(count - 1):
        bounds.append(min(bounds[-1] + max(round(width * shrink**index), 1), file.size))
    ends = [*bounds[1:], None]
    return [Part(file.path, file.size, *span) for span in zip(bounds, ends, strict=True)]
