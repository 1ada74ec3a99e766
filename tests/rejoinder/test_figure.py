"""Figures are deterministic SVG elements that show names as they are."""

import pytest

from rejoinder import figure


def _bars(*names):
    return figure.svg(lambda axes: axes.barh(names, range(len(names))), width=4, height=2)


def test_the_same_figure_gives_the_same_bytes():
    assert _bars("a", "b") == _bars("a", "b")
    assert _bars("a", "b").startswith("<svg")


def test_names_are_escaped_and_a_dollar_sign_does_not_begin_a_formula():
    svg = _bars("<script>", "$a_1$ & b")
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    assert "$a_1$ &amp; b" in svg


@pytest.mark.parametrize("grid", [(1, 1), (1, 2)])
def test_a_grid_of_axes_is_an_array(grid):
    shapes = []
    figure.svg(lambda axes: shapes.append(axes.shape), width=4, height=2, grid=grid)
    assert shapes == [grid]


def test_tick_labels_have_the_given_format():
    def plot(axes):
        axes.bar([0, 1], [0, 20_000])
        figure.format_numbers(axes.yaxis)

    assert ">20,000<" in figure.svg(plot, width=4, height=2)
