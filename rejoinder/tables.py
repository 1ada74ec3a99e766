"""Tables for people: aligned Markdown, and titled lists of names and values."""

import re
from collections.abc import Collection, Sequence


def markdown_table(
    header: Sequence[object], rows: Sequence[Sequence[object]], *, left: Collection[int] = (0,)
) -> str:
    """Returns an aligned Markdown table, its cells escaped by `markdown_text`.

    Args:
        header: The names of the columns.
        rows: Cells in the order of the columns.
        left: Indices of the columns that hold text, aligned to the left; the others are
            aligned to the right.
    """
    cells = [[markdown_text(cell) for cell in row] for row in [header, *rows]]
    # A rule needs a hyphen beside the colon that aligns to the right.
    least = [1 if column in left else 2 for column in range(len(header))]
    widths = [max(least[i], *(len(row[i]) for row in cells)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        pairs = enumerate(zip(row, widths, strict=True))
        aligned = [c.ljust(width) if i in left else c.rjust(width) for i, (c, width) in pairs]
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * width if i in left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])])


def markdown_text(value: object) -> str:
    r"""Returns `value` as one line of Markdown without HTML, fit for a table's cell.

    A `|` would end the cell and a `<` would begin an HTML tag: both are escaped by a
    backslash. Line breaks become spaces. Code spans stay.
    """
    return re.sub(r"([\\|<])", r"\\\1", " ".join(str(value).splitlines()))


def list_table(rows: Sequence[tuple[str, object]], title: str = "") -> str:
    """Returns one `name  value` line a row, indented, under `title` if there is one."""
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    return "\n".join([title, *lines] if title else lines)
