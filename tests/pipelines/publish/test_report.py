"""The report holds every figure, stands alone, and is the same for the same corpus."""

import json
from html.parser import HTMLParser

from rejoinder.pipelines.shards import statistics
from rejoinder.pipelines.shards.reading import read_manifest
from rejoinder.pipelines.testing import comment, dialogue, ndjson


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.svgs = self.outside = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.svgs += tag == "svg"
        self.outside += sum(
            name in ("src", "href") and not value.startswith("#") for name, value in attrs
        )


def test_report_of_a_corpus(tmp_path, preprocess):
    odd = [
        comment(9000, thread="odd", subreddit="$a$"),
        comment(9001, "c9000", thread="odd", subreddit="$a$"),
    ]
    (tmp_path / "RC<1>").write_bytes(ndjson([*dialogue(50), *odd, b"{broken"]))
    folder = preprocess(tmp_path / "RC<1>")
    values = json.loads((folder / "report.json").read_text())
    manifest = read_manifest(str(folder))
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


def test_an_empty_corpus_has_a_report(tmp_path, preprocess):
    (tmp_path / "RC").write_bytes(b"")
    text = (preprocess(tmp_path / "RC") / "report.html").read_text()
    assert "lines rejected" in text
    assert "<h2>Rejected lines</h2>" not in text


def test_month_names():
    assert statistics.month_name(2015 * 12) == "2015-01"
    assert statistics.month_name(2005 * 12 + 11) == "2005-12"
    assert statistics.month_name(None) == "unknown"
