"""The plots of a corpus report."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from rejoinder import figure
from rejoinder.pipelines.shards.statistics import UNKNOWN_MONTH

_BLUE, _ORANGE, _GREY = "#2563a8", "#d97a1d", "#9aa3ad"
_TOP_SUBREDDITS = 25
_FULL_WIDTH, _HALF_WIDTH = 10.6, 6.4  # inches


def counters(counts: Mapping[str, int]) -> Markup:
    """Returns horizontal bars of the counters that are not zero, largest first."""
    found = [(name, n) for name, n in counts.items() if n]
    rows = sorted(found, key=lambda item: (-item[1], item[0])) or [("none", 0)]
    colors = [_counter_color(name) for name, _ in rows]

    def draw(axes: Any) -> None:
        _bars(axes, dict(rows), colors)
        axes.set_xlabel("lines")

    return figure.svg(draw, width=_FULL_WIDTH, height=_bars_height(len(rows)))


def _counter_color(name: str) -> str:
    if name.startswith("pair/"):
        return _ORANGE
    return _BLUE if "/" in name else _GREY


def rejects(counts: Mapping[str, int]) -> Markup:
    """Returns horizontal bars of the rejected lines by reason, in the order of `counts`."""

    def draw(axes: Any) -> None:
        _bars(axes, counts, [_BLUE] * len(counts))
        axes.set_xlabel("lines")

    return figure.svg(draw, width=_FULL_WIDTH, height=_bars_height(len(counts)))


def lengths(context: Mapping[str, int], response: Mapping[str, int], unit: str) -> Markup:
    """Returns the distribution of the lengths of contexts and of responses.

    Args:
        context: Number of pairs by the length of their context.
        response: Number of pairs by the length of their response.
        unit: "characters" or "tokens".
    """

    def draw(axes: Any) -> None:
        for counts, label, color in ((context, "context", _BLUE), (response, "response", _ORANGE)):
            points = sorted((int(length), count) for length, count in counts.items())
            x, y = [length for length, _ in points], [count for _, count in points]
            axes.step(x, y, where="mid", label=label, color=color)
        axes.set_xlabel(f"{unit} per side")
        axes.set_ylabel("pairs")
        axes.set_ylim(bottom=0)
        axes.legend()
        figure.format_numbers(axes.yaxis)

    return figure.svg(draw, width=_HALF_WIDTH, height=3.4)


def subreddits(counts: Mapping[str, int]) -> Markup:
    """Returns horizontal bars of the pairs in the largest subreddits."""
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP_SUBREDDITS]

    def draw(axes: Any) -> None:
        _bars(axes, dict(top), [_BLUE] * len(top))
        axes.set_title(f"pairs per subreddit, top {len(top)} of {len(counts):,}")

    return figure.svg(draw, width=_HALF_WIDTH, height=5.4)


def months(counts: Mapping[str, int]) -> Markup:
    """Returns bars of the pairs of each month."""
    known = {month: count for month, count in sorted(counts.items()) if month != UNKNOWN_MONTH}
    unknown = counts.get(UNKNOWN_MONTH, 0)

    def draw(axes: Any) -> None:
        axes.bar(range(len(known)), list(known.values()), color=_BLUE)
        step = max(len(known) // 8, 1)
        axes.set_xticks(range(0, len(known), step), list(known)[::step], rotation=30)
        axes.set_title("pairs per month" + (f" ({unknown:,} without a date)" if unknown else ""))
        axes.grid(visible=False, axis="x")
        figure.format_numbers(axes.yaxis)

    return figure.svg(draw, width=_HALF_WIDTH, height=2.7)


def thread_sizes(counts: Mapping[str, int]) -> Markup:
    """Returns bars of the threads by number of comments, in powers of two, on a log scale."""
    points = sorted((int(size), count) for size, count in counts.items())
    labels = [f"{size:,}" if size == 1 else f"{size:,} to {2 * size - 1:,}" for size, _ in points]

    def draw(axes: Any) -> None:
        axes.bar(labels, [count for _, count in points], color=_BLUE)
        axes.set_yscale("log")
        axes.minorticks_off()  # they have no labels, and take half of the time
        axes.tick_params(axis="x", rotation=40)
        axes.set_title("threads by number of comments read")
        axes.grid(visible=False, axis="x")
        figure.format_numbers(axes.yaxis)

    return figure.svg(draw, width=_HALF_WIDTH, height=2.7)


def _bars(axes: Any, counts: Mapping[str, int], colors: list[str]) -> None:
    """Draws horizontal bars from top to bottom, each with its number."""
    rows = range(len(counts))
    axes.barh(rows, list(counts.values()), color=colors)
    axes.set_yticks(rows, list(counts))
    axes.invert_yaxis()
    for row, count in enumerate(counts.values()):
        axes.annotate(
            f"{count:,}",
            (count, row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.margins(x=0.14, y=0.02)
    axes.grid(visible=False, axis="y")
    figure.format_numbers(axes.xaxis)


def _bars_height(rows: int) -> float:
    return 0.7 + 0.24 * rows
