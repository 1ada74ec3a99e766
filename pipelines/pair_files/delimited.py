"""Reads CSV and TSV as JSON lines, one per row, so that the job treats all files alike."""

import contextlib
import csv
import io
import itertools
import json
import re
from collections.abc import Generator, Iterator, Sequence
from typing import Literal, TextIO

from rejoinder.errors import UserError
from rejoinder.pipelines.pair_files import forms

# JSON bytes yielded at once.
_BLOCK_BYTES = 1 << 20
# Limit of a row: a quote that is never closed would otherwise take the rest of the file.
_MAX_ROW_CHARS = 1 << 20
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')

Blocks = Generator[bytes, None, None]


class _BadRow(list[str]):
    """A row that is rejected: (reason, text)."""


def json_lines(
    path: str, blocks: Blocks, kind: Literal["csv", "tsv"], columns: Sequence[str]
) -> Blocks:
    """Converts CSV or TSV to JSON lines.

    A row becomes an object of the columns that hold its pairs, and a blank line a blank
    line. A row that cannot be read becomes an array of the reason and its text.

    Args:
        path: The file, for error messages.
        blocks: Its decompressed bytes.
        kind: In CSV, quotes enclose commas and line breaks, as in RFC 4180. In TSV a line
            is a row; quotes are removed from a field that is enclosed in them.
        columns: The two columns that the user named; numbers are positions from 1 in a
            file without a header. Empty accepts every form of `forms`.

    Raises:
        UserError: The header does not name the columns, or names one twice.
    """
    with contextlib.closing(blocks):
        rows = _read_rows(blocks, kind)
        header = next((row for row in rows if row), None)
        if header is None:
            return
        if _are_positions(columns) and forms.choose_keys(header, columns) is None:
            rows = itertools.chain([header], rows)
            header = [str(position) for position in range(1, len(header) + 1)]
        keys = forms.choose_keys(header, columns)
        if keys is None:
            raise forms.unknown_keys_error(path, header, columns)
        if repeated := next((key for key in keys if header.count(key) > 1), None):
            raise UserError(f"{path}: has two columns {repeated!r}; rename one")
        indices = {key: header.index(key) for key in keys}
        yield from _encode_rows(rows, len(header), indices)


def _are_positions(columns: Sequence[str]) -> bool:
    return bool(columns) and all(column.isdecimal() for column in columns)


def _encode_rows(rows: Iterator[list[str]], width: int, indices: dict[str, int]) -> Iterator[bytes]:
    lines: list[bytes] = []
    size = 0
    for row in rows:
        lines.append(_encode_row(row, width, indices))
        size += len(lines[-1])
        if size >= _BLOCK_BYTES:
            yield b"".join(lines)
            lines, size = [], 0
    yield b"".join(lines)


def _encode_row(row: list[str], width: int, indices: dict[str, int]) -> bytes:
    if not row:
        return b"\n"
    if isinstance(row, _BadRow):
        value: object = row
    elif len(row) != width:
        value = ["wrong_number_of_fields", ",".join(row)]
    else:
        value = {key: row[index] for key, index in indices.items()}
    # Bytes that are not UTF-8 return as they were, so that the row is rejected for them.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"


def _read_rows(blocks: Blocks, kind: Literal["csv", "tsv"]) -> Iterator[list[str]]:
    raw = io.BufferedReader(_BlockReader(blocks))
    # "utf-8-sig" drops the mark that spreadsheets write; the csv module needs newline="".
    text = io.TextIOWrapper(raw, "utf-8-sig", errors="surrogateescape", newline="")
    return _read_csv(_Lines(text)) if kind == "csv" else _read_tsv(_Lines(text))


def _read_csv(lines: "_Lines") -> Iterator[list[str]]:
    csv.field_size_limit(_MAX_ROW_CHARS)
    reader = csv.reader(lines, strict=True)
    while True:
        try:
            lines.start_row()
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = "line_too_long" if lines.exceeded else "broken_row"
            yield _BadRow([reason, str(error)])


def _read_tsv(lines: "_Lines") -> Iterator[list[str]]:
    while True:
        try:
            lines.start_row()
            line = next(lines).rstrip("\r\n")
        except StopIteration:
            return
        except csv.Error as error:
            yield _BadRow(["line_too_long", str(error)])
        else:
            yield [_unquote(field) for field in line.split("\t")] if line else []


def _unquote(field: str) -> str:
    match = _QUOTED.fullmatch(field) if field.startswith('"') else None
    return match[1].replace('""', '"') if match else field


class _Lines:
    """Iterates over lines with their line ends; the lines of one row are limited in length."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.start_row()

    @property
    def exceeded(self) -> bool:
        """Whether the current row is longer than the limit."""
        return self._left < 0

    def start_row(self) -> None:
        """Allows the full length again."""
        self._left = _MAX_ROW_CHARS

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._left + 1)
        if not line:
            raise StopIteration
        self._left -= len(line)
        if self.exceeded:
            raise csv.Error(f"longer than {_MAX_ROW_CHARS:,} characters: {line[:100]}")
        return line


class _BlockReader(io.RawIOBase):
    """A file of blocks of bytes."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks, self._block = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._block:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._block = memoryview(block)
        size = min(len(buffer), len(self._block))
        buffer[:size] = self._block[:size]
        self._block = self._block[size:]
        return size
