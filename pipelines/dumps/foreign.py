"""Recognizes files that are not dumps by their first bytes, and says what to do with them."""

import re

# Bytes of a file that `describe` needs: the name of the tar format is at offset 257.
HEAD_BYTES = 512

_UNPACK = "unpack it first and give the dumps inside"
_CONVERT = "convert it to JSON lines, one object per line"
_DOWNLOAD = "this is not the file itself; download it again"

# What a file is and what to do, by its first bytes.
_MAGICS = {
    rb"PK\x03\x04|PK\x05\x06": ("a zip archive", _UNPACK),
    rb"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    rb"Rar!\x1a\x07": ("a rar archive", _UNPACK),
    rb"(?s:.{257})ustar": ("a tar archive", _UNPACK),
    rb"PAR[1E][\x00-\x1f]": ("a Parquet file", _CONVERT),
    rb"SQLite format 3\0": ("an SQLite database", _CONVERT),
    rb"ARROW1\0\0|FEA1\0": ("an Arrow (Feather) file", _CONVERT),
    rb"ORC\n?[\x00-\x08]": ("an ORC file", _CONVERT),
    rb"Obj\x01": ("an Avro file", _CONVERT),
    rb"\x89HDF\r\n\x1a\n": ("an HDF5 file", _CONVERT),
    rb"\x80[\x02-\x05][\x8a-\x95}\](c]": ("a Python pickle", _CONVERT),
    rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18": (
        "an lz4 file",
        "decompress it first (lz4 -d), or compress it with zstd",
    ),
    rb"\xff\x06\0\0sNaPpY": ("a snappy file", "decompress it first, or compress it with zstd"),
    rb"LZIP": ("an lzip file", "decompress it first (lzip -d), or compress it with zstd"),
    rb"\x1f\x9d": ("a file of `compress`", "decompress it first (gzip -d)"),
    rb"\xff\xfe.\0|\xfe\xff\0.|[{\[]\0[\s\"{}\]]\0|\0[{\[]\0[\s\"{}\]]": (
        "text in UTF-16",
        "convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)",
    ),
    rb"%PDF-": ("a PDF document", "give the JSON lines of a dump"),
    rb"(?i:\s*<(!doctype html|html|head|\?xml)\b)": (
        "an HTML or XML page, probably the error page of a download",
        _DOWNLOAD,
    ),
    rb"d\d+:(announce|created by|creation date|comment|info)": (
        "a torrent file",
        "open it with a torrent client and give the files that it downloads",
    ),
    rb"version https://git-lfs": ("a Git LFS pointer", "fetch the file itself (git lfs pull)"),
}
_PATTERNS = {re.compile(magic): text for magic, text in _MAGICS.items()}


def describe(head: bytes) -> str | None:
    """Describes a file that cannot hold JSON lines or plain text.

    Args:
        head: The first `HEAD_BYTES` of the file, or of its decompressed content.

    Returns:
        What it is and what to do, as the end of a sentence about the file; None if the
        bytes may be the beginning of a dump.
    """
    for pattern, (what, advice) in _PATTERNS.items():
        if pattern.match(head):
            return f"is {what}; {advice}"
    return None
