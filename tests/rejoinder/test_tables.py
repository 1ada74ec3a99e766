"""Tables keep their columns for all cell texts."""

import re

from rejoinder.tables import list_table, markdown_table, markdown_text


def test_the_first_column_is_aligned_to_the_left_and_the_others_to_the_right():
    assert markdown_table(["name", "n"], [["a", 1], ["long name", 1000]]).splitlines() == [
        "| name      |    n |",
        "| --------- | ---: |",
        "| a         |    1 |",
        "| long name | 1000 |",
    ]


def test_columns_of_text_can_be_aligned_to_the_left():
    assert markdown_table(["a", "b", "n"], [["x", "y", "12"]], left=(0, 1)).splitlines() == [
        "| a | b |  n |",
        "| - | - | -: |",
        "| x | y | 12 |",
    ]


def test_a_cell_with_a_pipe_or_a_line_break_stays_one_cell():
    table = markdown_table(["name", "n"], [["a | b", "1"], ["c\nd", "2"]])
    # GFM splits rows at each pipe without a backslash before it.
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()] == [3] * 4
    assert r"a \| b" in table


def test_text_cannot_begin_an_html_tag():
    assert markdown_text("<script>") == r"\<script>"
    assert markdown_text(r"a\|b") == r"a\\\|b"


def test_a_list_has_one_aligned_line_per_row():
    rows = [("a", 1), ("long", "x")]
    assert list_table(rows) == "  a     1\n  long  x"
    assert list_table(rows, "Title") == "Title\n  a     1\n  long  x"
    assert list_table([]) == ""


def test_the_rule_of_a_narrow_column_has_a_hyphen():
    table = markdown_table(["", "n"], [["a", 1]], left=(0,))
    assert table.splitlines() == ["|   |  n |", "| - | -: |", "| a |  1 |"]
