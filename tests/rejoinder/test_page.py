"""The HTML shell escapes all text and needs no other file."""

import re
from html.parser import HTMLParser

from rejoinder import page


class Cells(HTMLParser):
    """The text of each cell, one list a row."""

    def __init__(self, text):
        super().__init__()
        self.rows = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data


def test_every_row_has_the_cells_it_was_given():
    rows = [["a | b", "1"], ["<script>x</script>", "2"], ["c\nd", "3"]]
    assert Cells(page.table(["name", "n"], rows)).rows == [["name", "n"], *rows]


def test_text_columns_are_aligned_to_the_left_and_numbers_to_the_right():
    html = page.table(["name", "n", "note"], [["a", "1", "b"]], left=(0, 2))
    assert re.findall(r"<td( class=\"left\")?>(\w)", html) == [
        (' class="left"', "a"),
        ("", "1"),
        (' class="left"', "b"),
    ]


def test_a_table_without_a_header_has_no_head():
    assert "<th" not in page.table((), [["a", "1"]])


def test_all_parts_escape_their_text():
    bad = "<script>&"
    parts = [
        bad,
        page.section(bad, bad, page.note(f"{bad}\n{bad}")),
        page.tiles([(bad, bad)]),
        page.table([bad], [[bad], [page.code(bad)]]),
        page.details(bad, page.grid(bad, page.stack(bad))),
        page.fragment("<p>{{ text }}</p>", text=bad),
    ]
    html = page.render(bad, parts)
    assert "<script>" not in html
    # The title twice: in the head and as the first heading.
    assert html.count("&lt;script&gt;&amp;") == 2 + 1 + 4 + 2 + 3 + 3 + 1


def test_parts_are_not_escaped_twice():
    html = page.render("x", [page.section("y", page.code("a & b"))])
    assert "<code>a &amp; b</code>" in html


def test_a_page_has_no_links_to_the_outside():
    html = page.render("x", [page.table(["a"], [["b"]])])
    assert re.findall(r"src=|href=|url\(|@import|https?:", html) == []
