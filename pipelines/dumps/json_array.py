"""Reads JSON arrays of objects, `[{…}, {…}]` and `{"data": [{…}, {…}]}`, as JSON lines.

The second form is a page of Arctic Shift's API. Several arrays may follow each other.
"""

import codecs
import json
import re
from collections.abc import Iterator

from rejoinder.pipelines.dumps.codecs import DamagedArchiveError

# Characters that a value may have; all known comments are below 1 MiB.
_MAX_VALUE = 16 << 20
# Characters of lines that are yielded at once.
_BATCH = 1 << 20
_BEGINNING = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*\{|\{\s*"data"\s*:\s*\[\s*[{\]])')
_SPACE = re.compile(r"[ \t\r\n]*")
_BYTE_ORDER_MARK = "\ufeff"
_decode_value = json.JSONDecoder().raw_decode

Blocks = Iterator[tuple[bytes, int]]


def matches(head: bytes) -> bool:
    """Returns whether decompressed content with these first bytes is in this format."""
    return _BEGINNING.match(head) is not None


def read_elements(path: str, blocks: Blocks) -> Blocks:
    """Reads the elements of arrays as lines.

    Args:
        path: The file's name, for messages.
        blocks: The file's content, from `decompress.read_blocks`.

    Yields:
        (lines, stored): Elements, each with its bytes in the file and a newline, and the
        number of stored bytes read so far.

    Raises:
        DamagedArchiveError: The JSON is broken or ends early; after all elements before that.
        UserError: From `blocks`.
    """
    text = _Text(path, blocks)
    lines: list[str] = []
    size = 0
    try:
        for element in _elements(text):
            # A line break in an element is white space between two tokens.
            lines.append(element.replace("\r", " ").replace("\n", " ") + "\n")
            size += len(lines[-1])
            if size >= _BATCH:
                yield _encode("".join(lines)), text.stored
                lines, size = [], 0
    except DamagedArchiveError:
        if lines:
            yield _encode("".join(lines)), text.stored
        raise
    if lines:
        yield _encode("".join(lines)), text.stored


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _elements(text: "_Text") -> Iterator[str]:
    while first := text.peek():
        yield from _array(text) if first == "[" else _page(text)


def _array(text: "_Text") -> Iterator[str]:
    text.take("[")
    if text.peek() != "]":
        yield text.value()
        while text.peek() == ",":
            text.take(",")
            yield text.value()
    text.take("]")


def _page(text: "_Text") -> Iterator[str]:
    """Yields the elements under `data` of an object; its other keys are skipped."""
    keys: list[str] = []
    separator = "{"
    while not keys or text.peek() == ",":
        text.take(separator)
        keys.append(text.value())
        text.take(":")
        if keys[-1] == '"data"' and text.peek() == "[":
            yield from _array(text)
        else:
            text.value()
        separator = ","
    text.take("}")
    if '"data"' not in keys:
        raise text.damaged('the object before it has no "data"')


class _Text:
    """The decoded content of a file, of which only the part that is being read is in memory.

    Bytes that are not UTF-8 become lone surrogates, which `_encode` turns into the same bytes.

    Attributes:
        stored: Number of stored bytes read so far.
    """

    def __init__(self, path: str, blocks: Blocks) -> None:
        self._path, self._blocks = path, blocks
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._buffer, self._at, self._ended = "", 0, False
        self._bytes = 0  # decompressed bytes in the buffer and before it
        self.stored = 0
        if self.peek() == _BYTE_ORDER_MARK:
            self._at += 1

    def peek(self) -> str:
        """Returns the next character that is not white space, "" at the end of the content."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._read():
                return ""

    def take(self, character: str) -> None:
        """Skips `character`, which must be the next one."""
        if self.peek() != character:
            raise self.damaged(f"expected {character!r}")
        self._at += 1

    def value(self) -> str:
        """Returns the next JSON value as it is written in the file."""
        self.peek()
        tried = 0
        while True:
            length = len(self._buffer) - self._at
            # A value that spans many blocks is decoded each time its part has doubled.
            if length >= 2 * tried or self._ended:
                problem, tried = "it is cut off", length
                try:
                    _, end = _decode_value(self._buffer, self._at)
                    if end < len(self._buffer) or self._ended:
                        value, self._at = self._buffer[self._at : end], end
                        return value
                except json.JSONDecodeError as error:
                    problem = error.msg
                except RecursionError:
                    problem = "it is nested too deeply"
                if self._ended or length > _MAX_VALUE:
                    raise self.damaged(problem)
            self._read()

    def _read(self) -> bool:
        """Appends the next block to the buffer; returns False at the end."""
        found = next(self._blocks, None)
        self._ended = found is None
        block, self.stored = found or (b"", self.stored)
        self._bytes += len(block)
        self._buffer = self._buffer[self._at :] + self._decoder.decode(block, final=self._ended)
        self._at = 0
        return not self._ended

    def damaged(self, reason: str) -> DamagedArchiveError:
        """Returns an error about the next character."""
        pending = len(self._decoder.getstate()[0])
        position = self._bytes - pending - len(_encode(self._buffer[self._at :]))
        return DamagedArchiveError(
            f"{self._path}: broken JSON array at byte offset {position} of its decompressed "
            f"content ({reason}); download the file again, or use the elements before that with "
            "--on-truncated=keep"
        )
