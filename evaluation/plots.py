"""The report's plots, as SVG text to put into a page. Models in colour, all else in grey."""

import io
from collections.abc import Sequence
from typing import Any

from rejoinder.evaluation.curves import Curve
from rejoinder.evaluation.published import ONE_OF_100
from rejoinder.evaluation.results import RankingResult
from rejoinder.evaluation.slices import Histogram, Slice

# Okabe and Ito's colours, told apart by colour-blind readers too.
_MODEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREYS = ("#555555", "#888888", "#AAAAAA")
_PUBLISHED = "#DDDDDD"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rejoinder",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#EEEEEE",
    "legend.frameon": False,
}


def colours(results: Sequence[RankingResult]) -> dict[str, str]:
    """Returns the colour of each method, the same in all plots of a report."""
    models = [result.name for result in results if result.is_model]
    others = [result.name for result in results if not result.is_model]
    chosen = {name: _MODEL_COLOURS[i % len(_MODEL_COLOURS)] for i, name in enumerate(models)}
    return chosen | {name: _GREYS[i % len(_GREYS)] for i, name in enumerate(others)}


def _figure(
    width: float, height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Any, Any]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, **options)


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    text = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    # The XML and DOCTYPE lines before it have no place inside a page.
    return text.getvalue()[text.getvalue().index("<svg") :]


def accuracy_bars(results: Sequence[RankingResult], colour: dict[str, str]) -> str:
    """Returns horizontal bars of our 1-of-n with intervals, and the published ones below."""
    bars = [
        (result.name, result.accuracy, result.accuracy_interval, colour[result.name])
        for result in results
        if result.accuracy is not None
    ]
    bars += [(f"{name}, published", value, None, _PUBLISHED) for name, value in ONE_OF_100.items()]
    figure, axes = _figure(7.5, 0.6 + 0.26 * len(bars))
    for row, (_, value, interval, fill) in enumerate(bars):
        axes.barh(row, 100 * value, color=fill, height=0.7)
        end = 100 * value
        if interval:
            end = 100 * interval.high
            axes.plot([100 * interval.low, end], [row, row], color="black", linewidth=1)
        axes.text(end + 0.7, row, f"{100 * value:.1f}", va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), [name for name, *_ in bars])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("%")
    return _svg(figure)


def histograms(data: Sequence[Histogram], colour: dict[str, str]) -> str:
    """Returns, for each method, the scores of true pairs over those of negatives."""
    columns = min(3, len(data))
    rows = -(-len(data) // columns)
    figure, grid = _figure(3.1 * columns, 2.5 * rows, columns, rows, squeeze=False)
    for axes in grid.flat[len(data) :]:
        axes.remove()
    for axes, one in zip(grid.flat, data, strict=False):
        axes.stairs(one.negative, one.edges, fill=True, color="#CCCCCC", label="in-batch negatives")
        axes.stairs(
            one.true, one.edges, color=colour[one.method], linewidth=1.6, label="true pairs"
        )
        axes.set_title(one.method)
        axes.set_xlabel("score")
        axes.set_ylabel("share")
        # TF-IDF gives most negatives exactly 0: one bar that would flatten all others.
        axes.set_yscale("log")
        axes.legend(fontsize=7)
    return _svg(figure)


def length_lines(data: Sequence[Slice], colour: dict[str, str]) -> str:
    """Returns the accuracy over the length of response and of context, a line per method."""
    figure, grid = _figure(7.5, 2.9, 2, sharey=True)
    for axes, by in zip(grid, ("response length", "context length"), strict=True):
        for method, shade in colour.items():
            chosen = [one for one in data if one.by == by and one.method == method]
            if chosen:
                labels = [one.label for one in chosen]
                values = [100 * one.accuracy for one in chosen]
                axes.plot(labels, values, "o-", color=shade, markersize=4, label=method)
        axes.set_xlabel(f"{by}, code points")
        axes.tick_params(axis="x", labelsize=7)
    grid[0].set_ylabel("1-of-n accuracy, %")
    grid[0].set_ylim(bottom=0)
    grid[0].legend(fontsize=7)
    return _svg(figure)


def subreddit_dots(data: Sequence[Slice], colour: dict[str, str]) -> str:
    """Returns the accuracy in the largest subreddits, a dot per method."""
    chosen = [one for one in data if one.by == "subreddit"]
    labels = list(dict.fromkeys(one.label for one in chosen))
    sizes = {one.label: one.pairs for one in chosen}
    figure, axes = _figure(7.5, 0.9 + 0.26 * len(labels))
    for method, shade in colour.items():
        own = [one for one in chosen if one.method == method]
        values = [100 * one.accuracy for one in own]
        rows = [labels.index(one.label) for one in own]
        axes.scatter(values, rows, color=shade, s=28, label=method)
    axes.set_yticks(range(len(labels)), [f"{label} ({sizes[label]})" for label in labels])
    axes.invert_yaxis()
    axes.set_xlabel("1-of-n accuracy, %")
    axes.legend(fontsize=7)
    return _svg(figure)


def learning_curves(curves: Sequence[Curve]) -> str:
    """Returns one panel per kind of scalar, a line per model and run."""
    tags = sorted({curve.tag for curve in curves}, key=lambda tag: ("loss" not in tag, tag))[:3]
    models = list(dict.fromkeys(curve.model for curve in curves))
    figure, grid = _figure(3.6 * len(tags), 2.7, len(tags), squeeze=False)
    for axes, tag in zip(grid[0], tags, strict=True):
        for curve in (curve for curve in curves if curve.tag == tag):
            shade = _MODEL_COLOURS[models.index(curve.model) % len(_MODEL_COLOURS)]
            line = "-" if curve.run == "train" else "o--"
            label = f"{curve.model}, {curve.run}"
            axes.plot(curve.steps, curve.values, line, color=shade, markersize=3, label=label)
        axes.set_title(tag)
        axes.set_xlabel("step")
        axes.legend(fontsize=7)
    return _svg(figure)
