"""The HTML shell of the reports: one template and one style, without links to the outside.

A report is a list of parts, built by the functions below. All text is escaped, except
`Markup`: another part, or a figure of `rejoinder.figure`.

    page.render("Corpus", [page.tiles([("12", "pairs")]), page.section("Inputs", table)])
"""

import functools
from collections.abc import Collection, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(title: str, parts: Sequence[str]) -> str:
    """Returns a complete HTML page.

    Args:
        title: The page's title and first heading.
        parts: The content, in order. A plain `str` is escaped.
    """
    return _environment().get_template("page.html").render(title=title, parts=parts) + "\n"


def section(title: str, *parts: str) -> Markup:
    """Returns `parts` under a second-level heading."""
    return _part("section", title, parts)


def table(
    header: Sequence[object], rows: Sequence[Sequence[object]], *, left: Collection[int] = (0,)
) -> Markup:
    """Returns a table; numbers are aligned to the right.

    Args:
        header: The names of the columns; empty for a table without a header.
        rows: Cells in the order of the columns.
        left: Indices of the columns that hold text, aligned to the left.
    """
    return _part("table", header, rows, left)


def tiles(values: Sequence[tuple[str, str]]) -> Markup:
    """Returns a row of tiles with the main figures, each a (value, label)."""
    return _part("tiles", values)


def note(text: str) -> Markup:
    """Returns a paragraph in small grey type; line breaks are kept."""
    return _part("note", text)


def code(text: str) -> Markup:
    """Returns `text` in a monospaced font, to be used as a table's cell."""
    return _part("code", text)


def grid(*parts: str) -> Markup:
    """Returns `parts` side by side where the window is wide enough."""
    return _part("group", "grid", parts)


def stack(*parts: str) -> Markup:
    """Returns `parts` one below the other, as one cell of a `grid`."""
    return _part("group", "stack", parts)


def details(summary: str, *parts: str) -> Markup:
    """Returns `parts` folded under the line `summary`."""
    return _part("details", summary, parts)


def fragment(source: str, **values: Any) -> Markup:
    """Returns the Jinja template `source` filled with `values`, which are escaped."""
    return Markup(_environment().from_string(source).render(values))  # noqa: S704


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("rejoinder", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )


def _part(macro: str, *arguments: Any) -> Markup:
    parts = _environment().get_template("parts.html").module
    result: Markup = getattr(parts, macro)(*arguments)
    return result
