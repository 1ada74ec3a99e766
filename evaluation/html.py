"""`evaluation.html`: one file without links to the outside, with plots and examples."""

from markupsafe import Markup

from rejoinder import page
from rejoinder.evaluation import plots, tables
from rejoinder.evaluation.examples import Example
from rejoinder.evaluation.markdown import describe_data
from rejoinder.evaluation.results import Evaluation
from rejoinder.units import format_duration

_MOST_TILES = 8
_EXAMPLE = """\
<blockquote>
<p><b>{{ example.context }}</b>
{%- if example.subreddit %} <span class="note">r/{{ example.subreddit }}</span>{% endif %}</p>
{% for score, text in example.answers %}
<p{% if text == example.own[1] %} class="own"{% endif %}>
<span class="score">{{ "%.3f"|format(score) }}</span>{{ text }}</p>
{% endfor %}
{% if example.own[1] not in example.answers|map("last")|list %}
<p class="own"><span class="score">{{ "%.3f"|format(example.own[0]) }}</span>{{ example.own[1] }}
<span class="note">(rank {{ "%g"|format(example.own_rank) }})</span></p>
{% endif %}
</blockquote>"""


def render_html(evaluation: Evaluation) -> str:
    """Returns the page. All text from the data is escaped."""
    parts = [
        page.tiles(_tiles(evaluation)),
        *_response_selection(evaluation),
        *_plots(evaluation),
        *_sentence_pairs(evaluation),
        *_examples(evaluation),
        page.section("How this report was made", _provenance(evaluation)),
    ]
    return page.render("Evaluation", parts)


def _tiles(evaluation: Evaluation) -> list[tuple[str, str]]:
    tiles = []
    if evaluation.data:
        for result in evaluation.ranking:
            if result.accuracy is not None:
                label = f"{result.name}, 1-of-{evaluation.data.candidates}"
                tiles.append((f"{100 * result.accuracy:.1f} %", label))
    tiles += [
        (f"{one.similarity.spearman:.4f}", f"{one.model}, {one.similarity.name}")
        for one in evaluation.similarity
    ]
    return tiles[:_MOST_TILES]


def _response_selection(evaluation: Evaluation) -> list[Markup]:
    data, results = evaluation.data, evaluation.ranking
    if data is None:
        return []
    parts = [page.note("\n".join(describe_data(data)))]
    if data.batches:
        parts.append(plots.accuracy_bars(results, plots.colours(results)))
    parts += [
        _table(tables.ranking_table(data, results)),
        *([_table(tables.map_table(evaluation))] if evaluation.maps else []),
        page.note(
            "Published figures are from all of Reddit 2015 to 2018. The test sets differ: "
            "a difference of a point is not significant."
        ),
        _table(tables.published_table()),
    ]
    return [page.section("Response selection", *parts)]


def _plots(evaluation: Evaluation) -> list[Markup]:
    sections = []
    colour = plots.colours(evaluation.ranking)
    if evaluation.curves:
        sections.append(page.section("Learning curve", plots.learning_curves(evaluation.curves)))
    if evaluation.histograms:
        note = page.note("The less the two overlap, the better a method separates them.")
        figure = plots.histograms(evaluation.histograms, colour)
        sections.append(page.section("Scores of true pairs and of negatives", note, figure))
    if evaluation.slices:
        lengths = plots.length_lines(evaluation.slices, colour)
        sections.append(page.section("Accuracy by length", lengths))
        if any(one.by == "subreddit" for one in evaluation.slices):
            note = page.note("The largest subreddits; the number of pairs in brackets.")
            dots = plots.subreddit_dots(evaluation.slices, colour)
            sections.append(page.section("Accuracy by subreddit", note, dots))
    return sections


def _sentence_pairs(evaluation: Evaluation) -> list[Markup]:
    sections = []
    if evaluation.similarity:
        table = _table(tables.similarity_table(evaluation))
        sections.append(page.section("Semantic textual similarity", table))
    if evaluation.paraphrase:
        table = _table(tables.paraphrase_table(evaluation))
        sections.append(page.section("Paraphrase detection", table))
    if evaluation.mteb:
        sections.append(page.section("mteb", _table(tables.mteb_table(evaluation))))
    return sections


def _examples(evaluation: Evaluation) -> list[Markup]:
    sections = []
    if evaluation.neighbours:
        note = page.note("Among all responses of the evaluated pairs; the true response in green.")
        examples = map(_example, evaluation.neighbours)
        title = f"Nearest responses of {evaluation.examples_of}"
        sections.append(page.section(title, note, *examples))
    if evaluation.mistakes:
        note = page.note(
            "Pairs where another response of the batch has the largest margin over the true one. "
            "Pairs whose context is itself that response are left out."
        )
        examples = map(_example, evaluation.mistakes)
        title = f"Hardest mistakes of {evaluation.examples_of}"
        sections.append(page.section(title, note, *examples))
    return sections


def _example(example: Example) -> Markup:
    return page.fragment(_EXAMPLE, example=example)


def _table(table: tables.Table) -> Markup:
    return page.table(table.header, table.rows, left=table.left)


def _provenance(evaluation: Evaluation) -> Markup:
    values = [
        *evaluation.models.items(),
        ("command", evaluation.command),
        ("time", format_duration(evaluation.seconds)),
        *evaluation.versions.items(),
    ]
    return page.table((), [[name, page.code(value)] for name, value in values], left=(0, 1))
