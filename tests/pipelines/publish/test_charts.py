"""The charts of the report show every value to scale, and names as they are."""

import itertools
import re

import pytest

from rejoinder.pipelines.publish import charts


def _numbers(svg, tag, attribute):
    return [float(n) for n in re.findall(rf'<{tag}[^>]* {attribute}="([-0-9.]+)"', svg)]


def _texts(svg):
    return re.findall(r">([^<>]*)</text>", svg)


def test_horizontal_bars_are_to_scale_and_have_their_numbers():
    svg = charts.horizontal_bars({"a": 1000, "b": 250, "c": 0}, ["red"] * 3, width=500, title="t")
    a, b, c = _numbers(svg, "rect", "width")
    assert a > 300
    assert b == pytest.approx(a / 4, abs=0.2)
    assert c == 0
    assert {"t", "a", "b", "c", "1,000", "250", "0"} <= set(_texts(svg))


def test_vertical_bars_are_to_scale():
    svg = charts.vertical_bars({"a": 1000, "b": 250}, "red", width=500, height=300, title="t")
    a, b = _numbers(svg, "rect", "height")
    assert b == pytest.approx(a / 4, abs=0.2)


def test_bars_on_a_log_scale_grow_evenly_and_one_of_1_can_be_seen():
    counts = {"a": 1, "b": 10, "c": 100, "d": 0}
    svg = charts.vertical_bars(counts, "red", width=500, height=300, title="t", log=True)
    a, b, c, d = _numbers(svg, "rect", "height")
    assert a > 10
    assert c - b == pytest.approx(b - a, abs=0.2)
    assert d == 0
    assert {"1", "10", "100"} <= set(_texts(svg))


def test_many_columns_do_not_all_have_their_name():
    counts = {f"month {number}": 1 for number in range(200)}
    svg = charts.vertical_bars(counts, "red", width=500, height=300, title="")
    names = _texts(svg)
    assert "month 0" in names
    assert 5 < sum(name.startswith("month") for name in names) < 30


def test_lines_pass_their_points():
    series = [("context", "red", [(0, 0), (50, 200), (100, 100)])]
    svg = charts.lines(series, width=400, height=300, x_label="tokens", y_label="pairs")
    (places,) = re.findall(r'points="([^"]*)"', svg)
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in places.split())
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(2 * (y0 - y2), abs=0.2)
    assert {"context", "tokens", "pairs", "200", "100"} <= set(_texts(svg))


@pytest.mark.parametrize(
    "svg",
    [
        charts.horizontal_bars({}, [], width=500, title="t"),
        charts.vertical_bars({}, "red", width=500, height=300, title="t"),
        charts.vertical_bars({}, "red", width=500, height=300, title="t", log=True),
        charts.lines([("a", "red", [])], width=500, height=300, x_label="x", y_label="y"),
    ],
)
def test_a_chart_of_nothing_is_empty(svg):
    assert svg.startswith("<svg ")
    assert "nan" not in svg


def test_a_name_is_text():
    svg = charts.horizontal_bars({"<b>&": 1}, ["red"], width=500, title="<i>")
    assert "&lt;b&gt;&amp;" in svg
    assert "<b>" not in svg
    assert "<i>" not in svg


@pytest.mark.parametrize("top", [0, 1, 2, 3, 7, 10, 99, 100, 12_345, 3_680_000_000])
def test_ticks_are_round_rise_from_0_and_are_few(top):
    ticks = charts._ticks(top, 5)
    assert ticks[0] == 0
    assert ticks[-1] <= top
    assert len(ticks) <= 6
    assert all(re.fullmatch("[125]0*", str(b - a)) for a, b in itertools.pairwise(ticks))
