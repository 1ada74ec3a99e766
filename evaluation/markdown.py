"""`evaluation.md`, which the command also prints."""

import re

from rejoinder.evaluation import tables
from rejoinder.evaluation.results import Evaluation, RankingData
from rejoinder.tables import markdown_table, markdown_text
from rejoinder.units import format_duration


def render_markdown(evaluation: Evaluation) -> str:
    """Returns the report as Markdown, its text escaped."""
    parts = ["# Evaluation"]
    if evaluation.data:
        parts += ["## Response selection"]
        parts += ["\n".join(map(markdown_text, describe_data(evaluation.data)))]
        parts += [_table(tables.ranking_table(evaluation.data, evaluation.ranking))]
        parts += [_table(tables.map_table(evaluation))] if evaluation.maps else []
        parts += [_table(tables.published_table())]
    if evaluation.similarity:
        parts += ["## Semantic textual similarity (cosine)"]
        parts += [_table(tables.similarity_table(evaluation))]
    if evaluation.paraphrase:
        parts += ["## Paraphrase detection (cosine)", _table(tables.paraphrase_table(evaluation))]
    if evaluation.mteb:
        parts += ["## mteb", _table(tables.mteb_table(evaluation))]
    if evaluation.models:
        models = evaluation.models.items()
        parts += ["## Models"]
        parts += ["\n".join(f"- {markdown_text(name)}: {_code(path)}" for name, path in models)]
    seconds = format_duration(evaluation.seconds)
    parts += [f"Written by {_code(evaluation.command)} in {seconds}."]
    return "\n\n".join(parts) + "\n"


def describe_data(data: RankingData) -> list[str]:
    """Returns sentences on the evaluated pairs, the batches and the baselines' training texts."""
    lines = [
        f"{data.pairs:,} pairs of {data.folder} ({' and '.join(data.splits)}"
        f"{', one pair per context' if data.deduplicate else ''}, order seed {data.seed})."
    ]
    if data.batches == 0:
        lines.append(
            f"1-of-{data.candidates} needs at least {data.candidates} pairs: not computed "
            f"(use a smaller --candidates)."
        )
    elif data.batches < data.batches_asked:
        lines.append(
            f"1-of-{data.candidates} is the mean of {data.batches} batches: "
            f"there are not enough pairs for the {data.batches_asked} requested."
        )
    lines.append(
        f"Recall and MRR rank each response among all {data.distinct_responses:,} distinct ones."
    )
    if data.fitted_on:
        lines.append(f"Keyword methods took word frequencies from {data.fitted_on}.")
    return lines


def _table(table: tables.Table) -> str:
    return markdown_table(table.header, table.rows, left=table.left)


def _code(text: str) -> str:
    """Returns a code span, its fence longer than any run of backticks in `text`."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    space = " " if longest else ""
    return f"{'`' * (longest + 1)}{space}{text}{space}{'`' * (longest + 1)}"
