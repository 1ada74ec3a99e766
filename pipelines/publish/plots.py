"""The plots of a corpus report."""

from collections.abc import Mapping

from markupsafe import Markup

from rejoinder.pipelines.publish import charts
from rejoinder.pipelines.shards.statistics import UNKNOWN_MONTH

_BLUE, _ORANGE, _GREY = "#2563a8", "#d97a1d", "#9aa3ad"
_TOP_SUBREDDITS = 25
_FULL_WIDTH, _HALF_WIDTH = 1000, 600  # pixels


def counters(counts: Mapping[str, int]) -> Markup:
    """Returns horizontal bars of the counters that are not zero, largest first."""
    found = [(name, n) for name, n in counts.items() if n]
    rows = sorted(found, key=lambda item: (-item[1], item[0])) or [("none", 0)]
    colors = [_counter_color(name) for name, _ in rows]
    return charts.horizontal_bars(dict(rows), colors, width=_FULL_WIDTH, title="lines")


def _counter_color(name: str) -> str:
    if name.startswith("pair/"):
        return _ORANGE
    return _BLUE if "/" in name else _GREY


def rejects(counts: Mapping[str, int]) -> Markup:
    """Returns horizontal bars of the rejected lines by reason, in the order of `counts`."""
    return charts.horizontal_bars(counts, [_BLUE] * len(counts), width=_FULL_WIDTH, title="lines")


def lengths(context: Mapping[str, int], response: Mapping[str, int], unit: str) -> Markup:
    """Returns the distribution of the lengths of contexts and of responses.

    Args:
        context: Number of pairs by the length of their context.
        response: Number of pairs by the length of their response.
        unit: "characters" or "tokens".
    """
    series = [
        (label, color, sorted((int(length), count) for length, count in counts.items()))
        for counts, label, color in ((context, "context", _BLUE), (response, "response", _ORANGE))
    ]
    return charts.lines(
        series, width=_HALF_WIDTH, height=330, x_label=f"{unit} per side", y_label="pairs"
    )


def subreddits(counts: Mapping[str, int]) -> Markup:
    """Returns horizontal bars of the pairs in the largest subreddits."""
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP_SUBREDDITS]
    title = f"pairs per subreddit, top {len(top)} of {len(counts):,}"
    return charts.horizontal_bars(dict(top), [_BLUE] * len(top), width=_HALF_WIDTH, title=title)


def months(counts: Mapping[str, int]) -> Markup:
    """Returns bars of the pairs of each month."""
    known = {month: count for month, count in sorted(counts.items()) if month != UNKNOWN_MONTH}
    unknown = counts.get(UNKNOWN_MONTH, 0)
    title = "pairs per month" + (f" ({unknown:,} without a date)" if unknown else "")
    return charts.vertical_bars(known, _BLUE, width=_HALF_WIDTH, height=260, title=title)


def thread_sizes(counts: Mapping[str, int]) -> Markup:
    """Returns bars of the threads by number of comments, in powers of two, on a log scale."""
    points = sorted((int(size), count) for size, count in counts.items())
    named = {
        f"{size:,}" if size == 1 else f"{size:,} to {2 * size - 1:,}": count
        for size, count in points
    }
    return charts.vertical_bars(
        named,
        _BLUE,
        width=_HALF_WIDTH,
        height=300,
        title="threads by number of comments read",
        log=True,
    )
