"""Texts of a dump: plain lines, or one field of JSON lines."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.chunks import Chunk, FileSummary, read_chunks
from rejoinder.pipelines.dumps.lines import BadLineError, check_text, parse_json


@dataclass
class TextSummary(FileSummary):
    """Figures of a file, complete once `read_texts` has ended.

    Attributes:
        texts: Number of texts.
        rejects: Number of rejected lines by reason.
    """

    texts: int = 0
    rejects: Counter[str] = field(default_factory=Counter)


def read_texts(
    path: str,
    key: str | None,
    summary: TextSummary,
    *,
    keep_damaged: bool = False,
    progress: Callable[[int], None] = lambda stored: None,
) -> Iterator[str]:
    """Yields the texts of a file in order.

    Blank lines and objects without text under `key` give no text.

    Args:
        path: Local path or URL of the file, compressed or not.
        key: JSON field with the text; None if each line is a text.
        summary: Updated while the file is read.
        keep_damaged: See `read_chunks`.
        progress: See `read_chunks`.

    Raises:
        UserError: The file cannot be read, no line has text under `key`, or, as
            `DamagedArchiveError`, the archive is damaged.
    """
    for chunk in read_chunks(
        path, summary, checksum=False, keep_damaged=keep_damaged, progress=progress
    ):
        if chunk.oversize:
            summary.rejects["line_too_long"] += 1
            continue
        for text in _plain(chunk) if key is None else _field(chunk, key, summary.rejects):
            summary.texts += 1
            yield text
    if key is not None and summary.lines and not summary.texts:
        raise UserError(
            f"{path}: none of its {summary.lines:,} lines is a JSON object with text in {key!r}; "
            "give another --field, or none for lines of plain text"
        )


def _plain(chunk: Chunk) -> Iterator[str]:
    return filter(None, chunk.data.decode("utf-8", "replace").split("\n"))


def _field(chunk: Chunk, key: str, rejects: Counter[str]) -> Iterator[str]:
    for line in chunk.data.split(b"\n"):
        stripped = line.strip(b" \t\r\n")
        if not stripped:
            continue
        try:
            value = parse_json(stripped)
            if not isinstance(value, dict):
                raise BadLineError("not_an_object")
            text = value.get(key)
            if isinstance(text, str) and text:
                yield check_text(text)
        except BadLineError as error:
            rejects[str(error)] += 1
