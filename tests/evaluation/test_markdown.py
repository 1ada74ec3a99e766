"""`evaluation.md` and `evaluation.html` show the same tables for all names."""

import re
from html.parser import HTMLParser

import pytest

from rejoinder.evaluation.html import render_html
from rejoinder.evaluation.intervals import Interval
from rejoinder.evaluation.markdown import render_markdown
from rejoinder.evaluation.paraphrase import Paraphrase
from rejoinder.evaluation.results import (
    Evaluation,
    MapResult,
    ParaphraseResult,
    RankingData,
    RankingResult,
    SimilarityResult,
)
from rejoinder.evaluation.sts import Similarity

NAMES = ["a | b", "<script>x()</script>", r"back\slash|", "`tick`", "$a$ & b"]


def _evaluation(name):
    interval = Interval(0.4, 0.6)
    recall = {1: 0.1, 10: 0.2, 50: 0.3}
    return Evaluation(
        models={name: f"runs/{name}"},
        data=RankingData(name, ("test",), 200, 2, 500, 100, 190, False, 0, None),
        ranking=[
            RankingResult(name, True, 0.5, interval, None, None, recall, 0.2, 90.0),
            RankingResult("BM25", False, 0.3, interval, -0.2, interval, recall, 0.1),
        ],
        maps=[MapResult(name, 600, 3.0, 0.01, 9, 0.41, 0.4)],
        similarity=[SimilarityResult(name, Similarity(name, 9, 0.8, 0.7, interval))],
        paraphrase=[ParaphraseResult(name, Paraphrase(name, 9, 4, 0.7, interval))],
        command=f"rejoinder evaluate --model '{name}'",
    )


class Tables(HTMLParser):
    """The tables of a page: rows of cell texts."""

    def __init__(self, text):
        super().__init__()
        self.tables, self._in_cell = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self._in_cell:
            self.tables[-1][-1][-1] += data


def _markdown_tables(text):
    """Splits Markdown tables as GFM does: at `|`, where no backslash escapes it."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        rows = [re.findall(r"((?:\\.|[^|\\])*)\|", line[1:]) for line in block.splitlines()]
        cells = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in rows]
        tables.append([cells[0], *cells[2:]])
    return tables


@pytest.mark.parametrize("name", NAMES)
def test_both_outputs_hold_the_same_cells(name):
    evaluation = _evaluation(name)
    *html, provenance = Tables(render_html(evaluation)).tables
    assert _markdown_tables(render_markdown(evaluation)) == html
    ranking, maps, _, similarity, paraphrase = html
    assert [row[0] for row in ranking] == ["method", name, "BM25"]
    assert ranking[0][3] == f"minus {name}"
    assert maps[1] == [name, "600", "3", "0.01", "9", "41.0", "40.0"]
    assert similarity[1][:3] == [name, name, "9"]
    assert paraphrase[1][:4] == [name, name, "9", "4"]
    assert provenance[0] == [name, f"runs/{name}"]


def test_names_are_escaped_in_both_outputs():
    evaluation = _evaluation("<script>")
    assert "<script>" not in render_html(evaluation)
    markdown = render_markdown(evaluation)
    outside_code = re.sub(r"`[^`]*`", "", markdown)
    assert re.search(r"(?<!\\)<script>", outside_code) is None


def test_a_path_with_backticks_stays_a_code_span():
    assert "- `tick`: `` runs/`tick` ``" in render_markdown(_evaluation("`tick`"))
