"""The filters that decide which comments may be a context or a response.

Each is one named predicate over columns. They are tried in order, and a
comment is counted under the first that refuses it: `filtered/<name>`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.options import ExtractOptions

# Reason 0 is no reason: the comment passed every filter.
PASSED = 0


@dataclass(frozen=True)
class Filter:
    """One reason to leave a comment out.

    Attributes:
        name: What its counter is called.
        refuses: Boolean expression over the columns of a parsed chunk.
    """

    name: str
    refuses: pl.Expr


def build_filters(options: ExtractOptions) -> list[Filter]:
    """Returns the filters of the options, in the order in which they are tried."""
    body = pl.col("body")
    length = body.str.len_chars()
    return [
        Filter("deleted", body == "[deleted]"),
        Filter("removed", body == "[removed]"),
        Filter("too_short", length < options.min_chars),
        Filter("too_long", length > options.max_chars),
    ]


def reason(filters: Sequence[Filter]) -> pl.Expr:
    """Returns uint8: 1 + index of the first filter that refuses the row, or `PASSED`."""
    expression: pl.Expr = pl.lit(PASSED, pl.UInt8)
    for index in reversed(range(len(filters))):
        expression = (
            pl.when(filters[index].refuses).then(pl.lit(index + 1, pl.UInt8)).otherwise(expression)
        )
    return expression


def trim(text: str, max_chars: int) -> str:
    """Returns `text` cut to `max_chars` characters without splitting a word.

    The cut lies where an alphanumeric and another character meet, as in
    PolyAI's extractor; a single overlong word leaves nothing.
    """
    if len(text) <= max_chars:
        return text
    alphanumeric: list[bool] = list(map(str.isalnum, text[: max_chars + 1]))
    end = max_chars
    while end and alphanumeric[end] == alphanumeric[end - 1]:
        end -= 1
    return text[:end]
