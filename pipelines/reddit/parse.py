"""Parses a chunk of NDJSON comments by columns.

polars' parser is strict about JSON but converts numbers, objects and lone
surrogates to text. Rows that may be such a conversion are parsed again by
`rejoinder.pipelines.reddit.line_parser`, so the result does not depend on which
parser read a line.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import polars as pl

from rejoinder.pipelines.dumps.chunks import Chunk
from rejoinder.pipelines.dumps.lines import Reject, excerpt
from rejoinder.pipelines.reddit.line_parser import Comment, parse_line
from rejoinder.pipelines.reddit.removals import MARKS

# Columns of a parsed chunk: ids without prefix; `parent` null for a top-level comment.
COLUMNS = ("id", "thread", "parent", "body", "author", "subreddit", "created_utc")
OPTIONAL_COLUMNS = ("score", "over_18", "removal")

# Columns that must be text; the last three may hold any.
_TEXT = ("id", "link_id", "parent_id", "body", "author", "subreddit")
_FREE_TEXT = _TEXT[3:]
# The key that the column `removal` follows from.
_META = "_meta"
# An id that is text and has no prefix, except `true` and `false`.
_PLAIN_ID = r"^[0-9a-z]*[a-df-z][0-9a-z]*$"

# A chunk that cannot be parsed as a whole is parsed in groups of this many bytes.
_GROUP_BYTES = 128 << 10

# A JSON number, boolean, object or list that polars would return as text; `[deleted]` is none.
_CONVERTED = (
    r"^(?s:-?[0-9][-+.0-9eE]*|true|false|\[(?:(?:[-0-9\[\{\x22]|true|false|null).*)?\]|\{.*\})$"
)


def parse_chunk(
    chunk: Chunk, optional: Sequence[str] = (), submissions: str = ""
) -> tuple[pl.DataFrame, list[Reject], int]:
    """Parses the comments of a chunk, and its submissions if these are wanted.

    Args:
        chunk: Whole lines.
        optional: The columns of `OPTIONAL_COLUMNS` to parse as well.
        submissions: See `line_parser.parse_line`.

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
    parsed = _parse_fast(chunk, optional, submissions)
    if parsed is not None:
        return parsed
    frames, rejects, blanks = [], [], 0
    line = chunk.first_line
    for group in _groups(chunk.data):
        lines = group.count(b"\n") + (not group.endswith(b"\n"))
        parsed = _parse_fast(Chunk(group, line, lines), optional, submissions)
        if parsed is None:
            parsed = _parse_carefully(
                group.split(b"\n")[:lines], range(line, line + lines), optional, submissions
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
    lines: Sequence[bytes], numbers: Sequence[int], optional: Sequence[str], submissions: str
) -> tuple[pl.DataFrame, list[Reject], int]:
    comments, rejects, blanks = [], [], 0
    for line, number in zip(lines, numbers, strict=True):
        parsed = parse_line(line, number, submissions)
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
    chunk: Chunk, optional: Sequence[str], submissions: str
) -> tuple[pl.DataFrame, list[Reject], int] | None:
    """Returns what `parse_chunk` returns, or None if polars cannot parse some line."""
    keys = (_META if name == "removal" else name for name in optional)
    schema = dict.fromkeys((*_TEXT, "created_utc", *keys), pl.String)
    try:
        raw = pl.read_ndjson(chunk.data, schema=schema)
    except (pl.exceptions.PolarsError, RuntimeError):
        return None
    if raw.height != chunk.lines:
        return None  # there are blank lines
    raw = raw.rechunk()  # polars parses in small pieces, on which every step would be slower
    doubtful = _doubtful(raw)
    if doubtful.any():
        indices = doubtful.arg_true().to_list()
        careful, rejects, blanks = _parse_carefully(
            _pick_lines(chunk, indices),
            [chunk.first_line + index for index in indices],
            optional,
            submissions,
        )
        return pl.concat([_normalize(raw.filter(~doubtful), optional), careful]), rejects, blanks
    return _normalize(raw, optional), [], 0


def _pick_lines(chunk: Chunk, indices: Sequence[int]) -> list[bytes]:
    """Returns the lines of a chunk with the given numbers, from 0."""
    data = chunk.data
    sizes, counts = np.array(chunk.blocks or [(len(data), 0)]).T
    begins = np.cumsum(sizes) - sizes
    before = np.cumsum(counts) - counts  # newlines before each block

    @lru_cache(maxsize=len(counts))
    def newlines(block: int) -> np.ndarray:
        begin = int(begins[block])
        values = np.frombuffer(data, np.uint8, int(sizes[block]), begin)
        return begin + np.flatnonzero(values == ord("\n"))

    def start(line: int) -> int:
        if line == 0:
            return 0
        block = int(np.searchsorted(before, line)) - 1
        return int(newlines(block)[line - 1 - before[block]]) + 1

    starts = map(start, indices)
    return [data[at : end if (end := data.find(b"\n", at)) >= 0 else None] for at in starts]


def _doubtful(raw: pl.DataFrame) -> pl.Series:
    """Returns true for rows with values that polars may have converted, and with missing values."""
    # NumPy in between, because each operation on a series of polars takes 0.2 ms to prepare.
    checks = raw.select(*_checks())
    doubtful = checks.get_column("doubtful").to_numpy().copy()
    for name in _TEXT:
        if _has_nul(raw.get_column(name)):
            with_nul = pl.col(name).str.contains("\0", literal=True).fill_null(True)
            doubtful |= raw.select(with_nul).to_series().to_numpy()
    if _META in raw.columns:  # polars gives an object as its JSON text
        marked = pl.col(_META).str.contains_any(list(MARKS)).fill_null(False)
        doubtful |= raw.select(marked).to_series().to_numpy()
    unusual = np.flatnonzero(checks.get_column("unusual_id").to_numpy())
    if len(unusual):
        plain = raw.select("id")[unusual].select(_is_plain(pl.col("id"))).to_series().to_numpy()
        doubtful[unusual[~plain]] = True
    suspects = np.flatnonzero(checks.get_column("suspect").to_numpy())
    if len(suspects):
        found = raw.select(_FREE_TEXT)[suspects].select(_converted()).to_series().to_numpy()
        doubtful[suspects[found]] = True
    return pl.Series(doubtful)


@lru_cache(maxsize=1)
def _checks() -> tuple[pl.Expr, ...]:
    """Returns the fast checks of each row: `doubtful`, and what makes it `unusual` or `suspect`."""
    parent = pl.col("parent_id")
    doubtful = pl.any_horizontal(
        ~_begins_with(pl.col("link_id"), "t3_"),
        ~(_begins_with(parent, "t1_") | _begins_with(parent, "t3_")),
        *(pl.col(name).is_null() for name in _TEXT),
    )
    suspect = pl.any_horizontal(_may_be_converted(pl.col(name)) for name in _FREE_TEXT)
    return (
        doubtful.fill_null(True).alias("doubtful"),
        _unusual_id(pl.col("id")).fill_null(False).alias("unusual_id"),
        suspect.fill_null(False).alias("suspect"),
    )


@lru_cache(maxsize=1)
def _converted() -> pl.Expr:
    texts = (pl.col(name).str.contains(_CONVERTED) for name in _FREE_TEXT)
    return pl.any_horizontal(texts).fill_null(False)


def _is_plain(column: pl.Expr) -> pl.Expr:
    """True for ids that are text without prefix: `true` and `false` may have been booleans."""
    return column.str.contains(_PLAIN_ID) & (column != "true") & (column != "false")


def _has_nul(column: pl.Series) -> bool:
    """Returns whether a string of the column has a NUL, faster than a search in each string."""
    data = column.to_arrow(compat_level=pl.CompatLevel.oldest()).buffers()[2]
    return bool(np.frombuffer(data or b"", np.uint8).min(initial=1) == 0)


def _unusual_id(column: pl.Expr) -> pl.Expr:
    """True for all ids that are not certainly text without prefix; a comparison is the fastest.

    A converted value begins with a digit, a sign or a bracket, or is `true` or `false`; a prefix
    begins with t.
    """
    certain = (column >= "a") & (column < "{") & ((column < "t") | (column >= "u"))
    return ~certain | (column == "false")


def _begins_with(column: pl.Expr, prefix: str) -> pl.Expr:
    return column.str.starts_with(prefix) & (column.str.len_bytes() > len(prefix))


def _may_be_converted(column: pl.Expr) -> pl.Expr:
    """True for all values that match `_CONVERTED`, and few others. Comparisons are the fastest."""
    number, array, object_ = column < ":", (column >= "[") & (column < "\\"), column >= "{"
    return number | array | object_ | (column == "true") | (column == "false")


def _normalize(raw: pl.DataFrame, optional: Sequence[str]) -> pl.DataFrame:
    parent = pl.col("parent_id")
    no_removal = pl.lit(None, pl.String).alias("removal")  # as `_doubtful` has none of the others
    return raw.select(
        "id",
        # Every `link_id` begins with t3_, every `parent_id` with t1_ or t3_.
        pl.col("link_id").str.slice(3).alias("thread"),
        pl.when(parent < "t3_").then(parent.str.slice(3)).alias("parent"),
        "body",
        "author",
        "subreddit",
        "created_utc",
        *(no_removal if name == "removal" else pl.col(name) for name in optional),
    )
