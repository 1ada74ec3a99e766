"""Figures of the reports, as SVG text to put into an HTML page."""

import io
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_STYLE: dict[Any, Any] = {
    # Text stays text: smaller, searchable, and in the reader's font.
    "svg.fonttype": "none",
    "svg.hashsalt": "rejoinder",
    # Names come from data: a `$` in them does not begin a formula.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#EEEEEE",
    "legend.frameon": False,
    "savefig.transparent": True,
}


def svg(
    plot: Callable[[Any], None],
    *,
    width: float,
    height: float,
    grid: tuple[int, int] | None = None,
) -> Markup:
    """Returns an SVG element. The same figure always gives the same bytes.

    Args:
        plot: Draws on Matplotlib axes: one `Axes`, or an array [rows, columns] of them if
            `grid` is given.
        width: Inches.
        height: Inches.
        grid: (rows, columns) of axes.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    text = io.StringIO()
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        plot(figure.subplots(*grid, squeeze=False) if grid else figure.subplots())
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    # Matplotlib escapes text. The XML and DOCTYPE lines are not allowed inside a page.
    return Markup(text.getvalue()[text.getvalue().index("<svg") :])  # noqa: S704


def format_numbers(axis: Any, form: str = "{:,.0f}") -> None:
    """Writes the tick labels of a Matplotlib axis in the format `form`."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value)))
