"""Parses a chunk of NDJSON comments by columns.

polars' parser is strict about JSON but converts numbers, objects and lone
surrogates to text. Rows that may be such a conversion are parsed again by
`rejoinder.pipelines.reddit.line_parser`, so the result does not depend on which
parser read a line.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from rejoinder.pipelines.dumps.chunks import Chunk
from rejoinder.pipelines.dumps.lines import Reject, excerpt
from rejoinder.pipelines.reddit.line_parser import Comment, parse_line

# Columns of a parsed chunk: ids without prefix; `parent` null for a top-level comment.
COLUMNS = ("id", "thread", "parent", "body", "author", "subreddit", "created_utc")
OPTIONAL_COLUMNS = ("score", "over_18")

# A chunk that cannot be parsed as a whole is parsed in groups of this many bytes.
_GROUP_BYTES = 128 << 10

# A JSON number, boolean, object or list that polars would return as text.
_CONVERTED = r"^(?s:-?[0-9][-+.0-9eE]*|true|false|\[.*\]|\{.*\})$"


def parse_chunk(
    chunk: Chunk, optional: Sequence[str] = ()
) -> tuple[pl.DataFrame, list[Reject], int]:
    """Parses the comments of a chunk.

    Args:
        chunk: Whole lines.
        optional: The columns of `OPTIONAL_COLUMNS` to parse as well.

    Returns:
        The comments in any order, with `COLUMNS` and `optional`; the rejected
        lines; and the number of blank lines. Rows + rejects + blank lines =
        `chunk.lines`.
    """
    if chunk.oversize:
        return (
            _frame([], optional),
            [Reject(chunk.first_line, "line_too_long", excerpt(chunk.data))],
            0,
        )
    parsed = _parse_fast(chunk.data, chunk.lines, chunk.first_line, optional)
    if parsed is not None:
        return parsed
    frames, rejects, blanks = [], [], 0
    line = chunk.first_line
    for group in _groups(chunk.data):
        lines = group.count(b"\n") + (not group.endswith(b"\n"))
        parsed = _parse_fast(group, lines, line, optional)
        if parsed is None:
            parsed = _parse_carefully(
                group.split(b"\n")[:lines], range(line, line + lines), optional
            )
        frames.append(parsed[0])
        rejects.extend(parsed[1])
        blanks += parsed[2]
        line += lines
    return pl.concat(frames), rejects, blanks


def _groups(data: bytes) -> list[bytes]:
    groups, start = [], 0
    while start < len(data):
        end = data.find(b"\n", min(start + _GROUP_BYTES, len(data)))
        end = len(data) if end < 0 else end + 1
        groups.append(data[start:end])
        start = end
    return groups


def _parse_carefully(
    lines: Sequence[bytes], numbers: Sequence[int], optional: Sequence[str]
) -> tuple[pl.DataFrame, list[Reject], int]:
    comments, rejects, blanks = [], [], 0
    for line, number in zip(lines, numbers, strict=True):
        parsed = parse_line(line, number)
        if parsed is None:
            blanks += 1
        elif isinstance(parsed, Reject):
            rejects.append(parsed)
        else:
            comments.append(parsed)
    return _frame(comments, optional), rejects, blanks


def _frame(comments: list[Comment], optional: Sequence[str]) -> pl.DataFrame:
    columns = (*COLUMNS, *optional)
    return pl.DataFrame(
        {name: [comment[name] for comment in comments] for name in columns},
        schema=dict.fromkeys(columns, pl.String),
    )


def _parse_fast(
    data: bytes, lines: int, first_line: int, optional: Sequence[str]
) -> tuple[pl.DataFrame, list[Reject], int] | None:
    """Returns what `parse_chunk` returns, or None if polars cannot parse some line."""
    schema = dict.fromkeys(
        ("id", "link_id", "parent_id", "body", "author", "subreddit", "created_utc", *optional),
        pl.String,
    )
    try:
        raw = pl.read_ndjson(data, schema=schema)
    except (pl.exceptions.PolarsError, RuntimeError):
        return None
    if raw.height != lines:
        return None  # there are blank lines
    doubtful = raw.select(_doubtful().alias("doubtful")).get_column("doubtful")
    if doubtful.any():
        indices = doubtful.arg_true().to_list()
        careful, rejects, blanks = _parse_carefully(
            _pick_lines(data, indices),
            [first_line + index for index in indices],
            optional,
        )
        return pl.concat([_normalize(raw.filter(~doubtful), optional), careful]), rejects, blanks
    return _normalize(raw, optional), [], 0


def _pick_lines(data: bytes, indices: Sequence[int]) -> list[bytes]:
    """Returns the lines with the given numbers, from 0."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    starts = np.concatenate([[0], ends + 1])
    ends = np.append(ends, len(data))
    return [data[starts[index] : ends[index]] for index in indices]


def _doubtful() -> pl.Expr:
    """True for rows with values that polars may have converted, and with missing values."""
    text = [pl.col(name) for name in ("id", "link_id", "parent_id", "body", "author", "subreddit")]
    converted = [pl.col(name).str.contains(_CONVERTED) for name in ("body", "author", "subreddit")]
    return pl.any_horizontal(
        ~pl.col("id").str.contains(r"^[0-9a-z]*[a-df-z][0-9a-z]*$"),
        pl.col("id").is_in(["true", "false"]),
        ~pl.col("link_id").str.contains(r"^t3_."),
        ~pl.col("parent_id").str.contains(r"^t[13]_."),
        *(column.is_null() for column in text),
        *(column.str.contains("\0", literal=True) for column in text),
        *converted,
    ).fill_null(True)


def _normalize(raw: pl.DataFrame, optional: Sequence[str]) -> pl.DataFrame:
    parent = pl.col("parent_id")
    return raw.select(
        "id",
        pl.col("link_id").str.strip_prefix("t3_").alias("thread"),
        pl.when(parent.str.starts_with("t1_")).then(parent.str.strip_prefix("t1_")).alias("parent"),
        "body",
        "author",
        "subreddit",
        "created_utc",
        *optional,
    )
