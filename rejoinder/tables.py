"""Tables for people: aligned Markdown, and titled lists of names and values."""

from collections.abc import Sequence


def markdown_table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """Returns an aligned Markdown table: the first column to the left, the others to the right.

    A cell's `|` is escaped and its line breaks become spaces, so that every row keeps its columns.
    """
    cells = [[_markdown_cell(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        aligned = [row[0].ljust(widths[0])]
        aligned += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])])


def list_table(rows: Sequence[tuple[str, object]], title: str = "") -> str:
    """Returns one `name  value` line a row, indented, under `title` if there is one."""
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    return "\n".join([title, *lines] if title else lines)


def _markdown_cell(value: object) -> str:
    return " ".join(str(value).splitlines()).replace("|", "\\|")
