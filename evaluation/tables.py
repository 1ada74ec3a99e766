"""The tables of a report as data, rendered as Markdown and as HTML."""

from collections.abc import Sequence
from typing import NamedTuple

from rejoinder.evaluation.intervals import Interval
from rejoinder.evaluation.published import ONE_OF_100
from rejoinder.evaluation.results import RECALL_AT, Evaluation, RankingData, RankingResult


class Table(NamedTuple):
    """A table of text cells.

    Attributes:
        header: The names of the columns.
        rows: Cells in the order of the columns.
        left: Indices of the columns that hold text and not numbers.
    """

    header: list[str]
    rows: list[list[str]]
    left: tuple[int, ...] = (0,)


def percent(value: float | None) -> str:
    """Returns 0.2894 as "28.9", None as "-"."""
    return "-" if value is None else f"{100 * value:.1f}"


def _interval(interval: Interval | None, form: str = "{:.1f} to {:.1f}", scale: float = 100) -> str:
    return "-" if interval is None else form.format(scale * interval.low, scale * interval.high)


def ranking_table(data: RankingData, results: Sequence[RankingResult]) -> Table:
    """Returns the figures of response selection, one method a row, in percent."""
    gains = any(result.gain is not None for result in results)
    rates = any(result.texts_per_second is not None for result in results)
    first = next((result.name for result in results if result.is_model), "")
    header = ["method", f"1-of-{data.candidates} %", "95 % interval"]
    header += [f"minus {first}"] * gains
    header += [*(f"R@{k} %" for k in RECALL_AT), "MRR"]
    header += ["texts/s"] * rates
    rows = []
    for result in results:
        row = [result.name, percent(result.accuracy), _interval(result.accuracy_interval)]
        row += [_gain(result)] * gains
        row += [percent(result.recall[k]) for k in RECALL_AT]
        row += [f"{result.mrr:.4f}"]
        row += [_rate(result)] * rates
        rows.append(row)
    return Table(header, rows)


def _gain(result: RankingResult) -> str:
    if result.gain is None:
        return ""
    return f"{100 * result.gain:+.1f} ({_interval(result.gain_interval, '{:+.1f} to {:+.1f}')})"


def _rate(result: RankingResult) -> str:
    return "" if result.texts_per_second is None else f"{result.texts_per_second:,.0f}"


def map_table(evaluation: Evaluation) -> Table:
    """Returns how the linear map of each model was learned."""
    rows = [
        [
            one.model,
            f"{one.pairs:,}",
            f"{one.rate:g}",
            f"{one.regularizer:g}",
            str(one.epochs),
            percent(one.accuracy),
            percent(one.unmapped),
        ]
        for one in evaluation.maps
    ]
    chosen = ["training pairs", "rate", "regularizer", "epochs"]
    header = ["linear map of", *chosen, "held-out 1-of-100 %", "without map %"]
    return Table(header, rows)


def published_table() -> Table:
    """Returns the published 1-of-100 accuracies on Reddit."""
    rows = [[name, percent(accuracy)] for name, accuracy in ONE_OF_100.items()]
    return Table(["published, Reddit 2015 to 2018", "1-of-100 %"], rows)


def similarity_table(evaluation: Evaluation) -> Table:
    """Returns Pearson's and Spearman's correlation for each file and model."""
    rows = [
        [
            result.similarity.name,
            result.model,
            f"{result.similarity.pairs:,}",
            f"{result.similarity.pearson:.4f}",
            f"{result.similarity.spearman:.4f}",
            _interval(result.similarity.spearman_interval, "{:.4f} to {:.4f}", 1),
        ]
        for result in evaluation.similarity
    ]
    header = ["set", "model", "pairs", "Pearson", "Spearman", "95 % interval"]
    return Table(header, rows, left=(0, 1))


def mteb_table(evaluation: Evaluation) -> Table:
    """Returns the main score for each task of mteb and model."""
    rows = [[one.task, one.model, one.metric, f"{one.score:.4f}"] for one in evaluation.mteb]
    return Table(["task", "model", "metric", "score"], rows, left=(0, 1, 2))


def paraphrase_table(evaluation: Evaluation) -> Table:
    """Returns the average precision for each file and model."""
    rows = [
        [
            result.paraphrase.name,
            result.model,
            f"{result.paraphrase.pairs:,}",
            f"{result.paraphrase.positives:,}",
            percent(result.paraphrase.average_precision),
            _interval(result.paraphrase.interval),
        ]
        for result in evaluation.paraphrase
    ]
    header = ["set", "model", "pairs", "paraphrases", "average precision %", "95 % interval"]
    return Table(header, rows, left=(0, 1))
