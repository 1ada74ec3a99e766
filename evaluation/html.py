"""`evaluation.html`: one file without any link to the outside, made from an `Evaluation`."""

from collections.abc import Sequence
from html import escape

from rejoinder.evaluation import plots
from rejoinder.evaluation.examples import Example
from rejoinder.evaluation.markdown import (
    describe_data,
    paraphrase_table,
    published_table,
    ranking_table,
    similarity_table,
)
from rejoinder.evaluation.results import Evaluation

_CSS = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.4rem; font-size: 1.15rem; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .87rem; margin: .6rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e4e4e4; text-align: right; }
th:first-child, td:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; }
.tile { border: 1px solid #e4e4e4; border-radius: 8px; padding: .6rem 1rem; }
.tile b { display: block; font-size: 1.5rem; } .tile span, .note { color: #555; font-size: .85rem; }
blockquote { margin: .9rem 0; padding: .1rem 0 .1rem .9rem; border-left: 3px solid #ddd; }
blockquote p { margin: .15rem 0; overflow-wrap: anywhere; }
.score { display: inline-block; width: 4.4rem; color: #555; font-variant-numeric: tabular-nums; }
.own { color: #006b3c; }
code { background: #f4f4f4; padding: .1rem .3rem; overflow-wrap: anywhere; }
"""


def render_html(evaluation: Evaluation) -> str:
    """Returns the page. Every text out of the data is escaped."""
    parts = ["<h1>Evaluation</h1>", _tiles(evaluation)]
    data, results = evaluation.data, evaluation.ranking
    if data:
        colour = plots.colours(results)
        parts += ["<h2>Response selection</h2>", _note(describe_data(data))]
        if data.batches:
            parts.append(plots.accuracy_bars(results, colour))
        parts += [
            _table(ranking_table(data, results)),
            _note(
                "Published figures are from all of Reddit 2015 to 2018: they say where a method "
                "stands, not which of two is better by a point."
            ),
            _table(published_table()),
        ]
    if evaluation.curves:
        parts += ["<h2>Learning curve</h2>", plots.learning_curves(evaluation.curves)]
    if data and evaluation.histograms:
        parts += [
            "<h2>Scores of true pairs and of negatives</h2>",
            _note("The less the two overlap, the better a method tells them apart."),
            plots.histograms(evaluation.histograms, colour),
        ]
    if data and evaluation.slices:
        parts += ["<h2>Accuracy by length</h2>", plots.length_lines(evaluation.slices, colour)]
        if any(one.by == "subreddit" for one in evaluation.slices):
            parts += [
                "<h2>Accuracy by subreddit</h2>",
                _note("The largest ones; the number of pairs in brackets."),
                plots.subreddit_dots(evaluation.slices, colour),
            ]
    if evaluation.similarity:
        parts += ["<h2>Semantic textual similarity</h2>", _table(similarity_table(evaluation))]
    if evaluation.paraphrase:
        parts += ["<h2>Paraphrase detection</h2>", _table(paraphrase_table(evaluation))]
    if evaluation.neighbours:
        parts += [
            f"<h2>Nearest responses of {escape(evaluation.examples_of)}</h2>",
            _note("Out of all responses of the evaluated pairs; the one really given in green."),
            *map(_example, evaluation.neighbours),
        ]
    if evaluation.mistakes:
        parts += [
            f"<h2>Hardest mistakes of {escape(evaluation.examples_of)}</h2>",
            _note(
                "Where another response of the batch scored most above the one really given "
                "(the context itself, where it is one of them, left out)."
            ),
            *map(_example, evaluation.mistakes),
        ]
    parts += ["<h2>How it was made</h2>", _provenance(evaluation)]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation</title><style>{_CSS}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _tiles(evaluation: Evaluation) -> str:
    tiles = []
    if evaluation.data:
        for result in evaluation.ranking:
            if result.accuracy is not None:
                what = f"{result.name}, 1-of-{evaluation.data.candidates}"
                tiles.append((f"{100 * result.accuracy:.1f} %", what))
    tiles += [
        (f"{one.similarity.spearman:.4f}", f"{one.model}, {one.similarity.name}")
        for one in evaluation.similarity
    ]
    inner = "".join(
        f'<div class="tile"><b>{value}</b><span>{escape(what)}</span></div>'
        for value, what in tiles[:8]
    )
    return f'<div class="tiles">{inner}</div>'


def _note(text: str) -> str:
    return f'<p class="note">{"<br>".join(escape(line) for line in text.splitlines())}</p>'


def _table(markdown: str) -> str:
    """Turns a table of `markdown.table` into HTML: one place decides what stands in a table."""
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines()
    )
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _example(example: Example) -> str:
    where = f' <span class="note">r/{escape(example.subreddit)}</span>' if example.subreddit else ""
    lines = [f"<p><b>{escape(example.context)}</b>{where}</p>"]
    shown: Sequence[tuple[float, str]] = example.answers
    for score, text in shown:
        own = ' class="own"' if text == example.own[1] else ""
        lines.append(f'<p{own}><span class="score">{score:.3f}</span>{escape(text)}</p>')
    if example.own[1] not in [text for _, text in shown]:
        score, text = example.own
        lines.append(
            f'<p class="own"><span class="score">{score:.3f}</span>{escape(text)} '
            f'<span class="note">(rank {example.own_rank:g})</span></p>'
        )
    return "<blockquote>" + "".join(lines) + "</blockquote>"


def _provenance(evaluation: Evaluation) -> str:
    rows = [(name, path) for name, path in evaluation.models.items()]
    rows += [("command", evaluation.command)]
    rows += [("seconds", f"{evaluation.seconds:.0f}")]
    rows += list(evaluation.versions.items())
    return (
        "<table>"
        + "".join(
            f'<tr><td>{escape(name)}</td><td style="text-align:left"><code>{escape(value)}</code>'
            "</td></tr>"
            for name, value in rows
        )
        + "</table>"
    )
