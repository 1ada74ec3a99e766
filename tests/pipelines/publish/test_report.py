"""The report holds every figure, needs no other file, and is deterministic."""

import html
import json
from collections import Counter
from html.parser import HTMLParser

import pytest

from rejoinder.corpus.manifest import Manifest, load_manifest
from rejoinder.pipelines.dumps.notes import ReadNotes, Sample
from rejoinder.pipelines.publish import report
from rejoinder.pipelines.shards import statistics
from rejoinder.pipelines.shards.shared_texts import SharedTexts
from rejoinder.pipelines.testing import comment, dialogue, ndjson


class Page(HTMLParser):
    """Counts figures and links to the outside, and collects the cells of all rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.svgs = self.outside = 0
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.svgs += tag == "svg"
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        self.outside += sum(
            name in ("src", "href") and not value.startswith("#") for name, value in attrs
        )

    def handle_endtag(self, tag):
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data


def test_the_report_of_a_corpus_holds_its_figures_and_is_deterministic(tmp_path, preprocess):
    odd = [
        comment(9000, thread="odd", subreddit="$a$"),
        comment(9001, "c9000", thread="odd", subreddit="$a$"),
    ]
    (tmp_path / "RC<1>").write_bytes(ndjson([*dialogue(50), *odd, b"{broken"]))
    folder = preprocess(tmp_path / "RC<1>")
    values = json.loads((folder / "report.json").read_text())
    manifest = load_manifest(str(folder))
    pairs = manifest.examples("train") + manifest.examples("test")
    for name in ("context_chars", "response_tokens", "subreddits", "months"):
        assert sum(values[name].values()) == pairs
    assert values["months"] == {"2015-01": pairs}
    assert values["thread_sizes"] == {"4": 50, "2": 1}
    assert values["lines"] == sum(values["counters"].values()) == 253

    text = (folder / "report.html").read_text()
    page = Page(text)
    assert page.svgs == 7
    assert page.outside == 0
    assert "RC&lt;1&gt;" in text
    assert "rejected/broken_json" in text
    assert "<h2>Rejected lines</h2>" in text
    again = preprocess(tmp_path / "RC<1>", output="again", arguments=["--name", "corpus"])
    assert (again / "report.html").read_text() == text


NAMES = ["a | b", "<script>x()</script>", "$a$ & b"]


def _report(name):
    manifest = Manifest(
        name=name,
        splits={"train": []},
        max_length=128,
        tokenizer="f00d",
        pad_id=1,
        vocab_size=10,
        has_text=[],
        options={"subreddits": [name]},
        inputs=[
            {"path": name, "bytes": 1000, "lines": 2, "sha256": "abc", "damage": name},
            {"path": "whole", "bytes": 10, "lines": 1, "sha256": None},
        ],
        counters={f"rejected/{name}": 2, "blank": 1, "pair/train": 0},
    )
    counts = statistics.PairStatistics(subreddits=Counter({name: 3}), months=Counter(unknown=3))
    notes = ReadNotes()
    notes.add_samples(f"rejected/{name}", [Sample(1, name, f"text of {name}")])
    return report.to_html(manifest, counts, notes, SharedTexts().figures())


@pytest.mark.parametrize("name", NAMES)
def test_names_do_not_shift_cells_and_are_shown_as_they_are(name):
    text = _report(name)
    page = Page(text)
    assert ["counter", "lines", "share"] in page.rows
    assert [f"rejected/{name}", "2", "66.67%"] in page.rows
    assert ["all lines", "3", "100%"] in page.rows
    assert ["file", "bytes", "lines", "sha256", "damage"] in page.rows
    assert [name, "1,000", "2", "abc", name] in page.rows
    assert ["whole", "10", "1", "", ""] in page.rows
    assert ["subreddits", json.dumps([name])] in page.rows
    assert ["from", "text"] in page.rows
    assert [name, f"text of {name}"] in page.rows
    assert f"<summary>rejected/{html.escape(name)}</summary>" in text
    assert f"Warning: --subreddits: no comment of the input is in {html.escape(name)}." in text
    assert "<script>" not in text
    # As a tick label: the plots show the name too.
    assert f">{html.escape(name, quote=False)}</text>" in text


def test_the_same_corpus_gives_the_same_bytes():
    assert _report("a | b") == _report("a | b")


def test_an_empty_corpus_has_a_report(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(b"")
    text = (preprocess(tmp_path / "RC") / "report.html").read_text()
    assert "lines rejected" in text
    assert "<h2>Rejected lines</h2>" not in text


def test_months_are_named_by_year_and_month():
    assert statistics.month_name(2015 * 12) == "2015-01"
    assert statistics.month_name(2005 * 12 + 11) == "2005-12"
    assert statistics.month_name(None) == "unknown"
