"""The plots of a report. Models are drawn in colour, all else in grey."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from rejoinder import figure
from rejoinder.evaluation.curves import Curve
from rejoinder.evaluation.published import ONE_OF_100
from rejoinder.evaluation.results import RankingResult
from rejoinder.evaluation.slices import Histogram, Slice

_GREYS = ("#555555", "#888888", "#AAAAAA")
_PUBLISHED = "#CCCCCC"
_PANELS = 6  # learning curves in a report; all are in evaluation.json
# Curves of the data sets of a mixture, by the beginning of their tags.
_BY_DATA_SET = {
    "loss_": "training loss by data set",
    "accuracy_": "validation accuracy by data set",
}
_LINES = ("-", "--", ":", "-.")  # of the models, where colours are those of data sets


def colours(results: Sequence[RankingResult]) -> dict[str, str]:
    """Returns the colour of each method, the same in all plots of a report."""
    models = [result.name for result in results if result.is_model]
    others = [result.name for result in results if not result.is_model]
    chosen = {name: figure.COLOURS[i % len(figure.COLOURS)] for i, name in enumerate(models)}
    return chosen | {name: _GREYS[i % len(_GREYS)] for i, name in enumerate(others)}


def accuracy_bars(results: Sequence[RankingResult], colour: dict[str, str]) -> Markup:
    """Returns horizontal bars of the measured 1-of-n with intervals, then of the published ones."""
    bars = [
        (result.name, result.accuracy, result.accuracy_interval, colour[result.name])
        for result in results
        if result.accuracy is not None
    ]
    bars += [(f"{name}, published", value, None, _PUBLISHED) for name, value in ONE_OF_100.items()]

    def draw(axes: Any) -> None:
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

    return figure.svg(draw, width=7.5, height=0.6 + 0.26 * len(bars))


def histograms(data: Sequence[Histogram], colour: dict[str, str]) -> Markup:
    """Returns, for each method, the scores of true pairs over those of negatives."""
    columns = min(3, len(data))
    rows = -(-len(data) // columns)

    def draw(grid: Any) -> None:
        for axes in grid.flat[len(data) :]:
            axes.remove()
        for axes, one in zip(grid.flat, data, strict=False):
            axes.stairs(
                one.negative, one.edges, fill=True, color="#CCCCCC", label="in-batch negatives"
            )
            shade = colour[one.method]
            axes.stairs(one.true, one.edges, color=shade, linewidth=1.6, label="true pairs")
            axes.set_title(one.method)
            axes.set_xlabel("score")
            axes.set_ylabel("share")
            # TF-IDF gives most negatives exactly 0: one bar that would flatten all others.
            axes.set_yscale("log")
            figure.format_numbers(axes.yaxis, "{:g}")
            axes.legend(fontsize=7)

    return figure.svg(draw, width=3.1 * columns, height=2.5 * rows, grid=(rows, columns))


def length_lines(data: Sequence[Slice], colour: dict[str, str]) -> Markup:
    """Returns the accuracy over the length of response and of context, a line per method."""

    def draw(grid: Any) -> None:
        left, right = grid.flat
        right.sharey(left)
        right.tick_params(labelleft=False)
        for axes, by in zip(grid.flat, ("response length", "context length"), strict=True):
            for method, shade in colour.items():
                chosen = [one for one in data if one.by == by and one.method == method]
                if chosen:
                    labels = [one.label for one in chosen]
                    values = [100 * one.accuracy for one in chosen]
                    axes.plot(labels, values, "o-", color=shade, markersize=4, label=method)
            axes.set_xlabel(f"{by}, code points")
            axes.tick_params(axis="x", labelsize=7)
        left.set_ylabel("1-of-n accuracy, %")
        left.set_ylim(bottom=0)
        left.legend(fontsize=7)

    return figure.svg(draw, width=7.5, height=2.9, grid=(1, 2))


def subreddit_dots(data: Sequence[Slice], colour: dict[str, str]) -> Markup:
    """Returns the accuracy in the largest subreddits, a dot per method."""
    chosen = [one for one in data if one.by == "subreddit"]
    labels = list(dict.fromkeys(one.label for one in chosen))
    sizes = {one.label: one.pairs for one in chosen}

    def draw(axes: Any) -> None:
        for method, shade in colour.items():
            own = [one for one in chosen if one.method == method]
            values = [100 * one.accuracy for one in own]
            rows = [labels.index(one.label) for one in own]
            axes.scatter(values, rows, color=shade, s=28, label=method)
        axes.set_yticks(range(len(labels)), [f"{label} ({sizes[label]})" for label in labels])
        axes.invert_yaxis()
        axes.set_xlabel("1-of-n accuracy, %")
        axes.legend(fontsize=7)

    return figure.svg(draw, width=7.5, height=0.9 + 0.26 * len(labels))


def _data_set(curve: Curve) -> str:
    """Returns the data set whose loss or accuracy a curve is; empty for another curve."""
    found = [curve.tag.removeprefix(one) for one in _BY_DATA_SET if curve.tag.startswith(one)]
    return found[0] if found else ""


def _panel(curve: Curve) -> str:
    """Returns the title of a curve's panel."""
    found = [title for one, title in _BY_DATA_SET.items() if curve.tag.startswith(one)]
    return found[0] if found else curve.tag


def learning_curves(curves: Sequence[Curve]) -> Markup:
    """Returns one panel per scalar, losses first, with a line per model and run.

    The losses of the data sets of a mixture are the lines of one panel, and so are their
    accuracies.
    """
    panels: dict[str, list[Curve]] = {}
    for curve in sorted(curves, key=lambda curve: ("loss" not in curve.tag, curve.tag)):
        panels.setdefault(_panel(curve), []).append(curve)
    titles = list(panels)[:_PANELS]
    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    models = list(dict.fromkeys(curve.model for curve in curves))
    data_sets = list(dict.fromkeys(filter(None, map(_data_set, curves))))

    def draw(grid: Any) -> None:
        for axes in grid.flat[len(titles) :]:
            axes.remove()
        for axes, title in zip(grid.flat, titles, strict=False):
            for curve in panels[title]:
                number, line = models.index(curve.model), "-" if curve.run == "train" else "o--"
                label = f"{curve.model}, {curve.run}"
                if name := _data_set(curve):
                    line, number = _LINES[number % len(_LINES)], data_sets.index(name)
                    label = f"{curve.model}, {name}" if len(models) > 1 else name
                shade = figure.COLOURS[number % len(figure.COLOURS)]
                axes.plot(curve.steps, curve.values, line, color=shade, markersize=3, label=label)
            axes.set_title(title)
            axes.set_xlabel("step")
            axes.legend(fontsize=7)

    return figure.svg(draw, width=3.6 * columns, height=2.7 * rows, grid=(rows, columns))
