"""The tables that a person reads: printed, and kept as `evaluation.md`."""

from collections.abc import Sequence

from rejoinder.evaluation.intervals import Interval
from rejoinder.evaluation.published import ONE_OF_100
from rejoinder.evaluation.results import RECALL_AT, Evaluation, RankingData, RankingResult


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns an aligned Markdown table: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "| " + " | ".join(cells) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def percent(value: float | None) -> str:
    """Returns 0.2894 as "28.9", None as "-"."""
    return "-" if value is None else f"{100 * value:.1f}"


def _interval(interval: Interval | None, form: str = "{:.1f} to {:.1f}", scale: float = 100) -> str:
    return "-" if interval is None else form.format(scale * interval.low, scale * interval.high)


def describe_data(data: RankingData) -> str:
    """Returns the lines above the ranking table: which pairs, how many batches, fitted on what."""
    lines = [
        f"{data.pairs:,} pairs of {data.folder} ({' and '.join(data.splits)}"
        f"{', one pair per context' if data.deduplicate else ''}, order seed {data.seed})."
    ]
    if data.batches == 0:
        lines.append(
            f"1-of-{data.candidates} needs at least {data.candidates} pairs: not computed "
            f"(--candidates takes a smaller number)."
        )
    elif data.batches < data.batches_asked:
        lines.append(
            f"1-of-{data.candidates} is the mean of {data.batches} batches: "
            f"the pairs make no more of the {data.batches_asked} asked for."
        )
    lines.append(
        f"Recall and MRR rank each response among all {data.distinct_responses:,} distinct ones."
    )
    if data.fitted_on:
        lines.append(f"Keyword methods took word frequencies from {data.fitted_on}.")
    return "\n".join(lines)


def ranking_table(data: RankingData, results: Sequence[RankingResult]) -> str:
    """Returns the response-selection table, in percent."""
    gains = any(result.gain is not None for result in results)
    first = next((result.name for result in results if result.is_model), "")
    header = ["method", f"1-of-{data.candidates} %", "95 % interval"]
    header += [f"minus {first}"] * gains
    rates = any(result.texts_per_second is not None for result in results)
    header += [*(f"R@{k} %" for k in RECALL_AT), "MRR"]
    header += ["texts/s"] * rates
    rows = []
    for result in results:
        row = [result.name, percent(result.accuracy), _interval(result.accuracy_interval)]
        if gains and result.gain is None:
            row.append("")
        elif gains:
            low_high = _interval(result.gain_interval, "{:+.1f} to {:+.1f}")
            row.append(f"{100 * (result.gain or 0):+.1f} ({low_high})")
        row += [percent(result.recall[k]) for k in RECALL_AT]
        row.append(f"{result.mrr:.4f}")
        if rates:
            rate = result.texts_per_second
            row.append("" if rate is None else f"{rate:,.0f}")
        rows.append(row)
    return table(header, rows)


def published_table() -> str:
    """Returns the published 1-of-100 accuracies on Reddit."""
    return table(
        ["published, Reddit 2015 to 2018", "1-of-100 %"],
        [[name, percent(accuracy)] for name, accuracy in ONE_OF_100.items()],
    )


def similarity_table(evaluation: Evaluation) -> str:
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
    return table(["set", "model", "pairs", "Pearson", "Spearman", "95 % interval"], rows)


def paraphrase_table(evaluation: Evaluation) -> str:
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
    return table(header, rows)


def render(evaluation: Evaluation) -> str:
    """Returns the whole report as Markdown."""
    parts = ["# Evaluation"]
    if evaluation.data:
        parts += ["## Response selection", describe_data(evaluation.data)]
        parts += [ranking_table(evaluation.data, evaluation.ranking), published_table()]
    if evaluation.similarity:
        parts += ["## Semantic textual similarity (cosine)", similarity_table(evaluation)]
    if evaluation.paraphrase:
        parts += ["## Paraphrase detection (cosine)", paraphrase_table(evaluation)]
    if evaluation.models:
        parts.append("## Models")
        parts.append("\n".join(f"- {name}: `{path}`" for name, path in evaluation.models.items()))
    parts.append(f"Made by `{evaluation.command}` in {evaluation.seconds:.0f} s.")
    return "\n\n".join(parts) + "\n"
