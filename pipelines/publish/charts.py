"""Charts of the corpus report as SVG text: horizontal and vertical bars, and lines.

They are drawn here, because importing Matplotlib and laying out its figures takes a
second of every run, a fifth of its start-up.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

_GRID, _TEXT = "#eeeeee", "#000000"
_CHAR, _ROW, _TITLE, _AXIS = 6.2, 22, 22, 34  # pixels: a character, a row, a title, tick labels
_TURNED = 46  # pixels that a turned name extends to the left of its column
_LOG_TICKS = 8  # most powers of ten that are labelled

Parts = list[Markup]


def horizontal_bars(
    counts: Mapping[str, int], colors: Sequence[str], *, width: int, title: str
) -> Markup:
    """Returns one bar per row from top to bottom, each with its number.

    Args:
        counts: The value of each row by its name.
        colors: CSS color of each row.
        width: Pixels.
        title: Stands above the bars.
    """
    left = _CHAR * max((len(name) for name in counts), default=0) + 10
    right = width - _CHAR * len(f"{max(counts.values(), default=0):,}") - 10
    bottom = _TITLE + _ROW * len(counts)
    top = max(counts.values(), default=0)
    scale = (right - left) / max(top, 1)
    parts = [_text(left, 14, title)]
    for tick in _ticks(top, max(int((right - left) / 80), 1)):
        x = left + tick * scale
        parts += [_line(x, _TITLE, x, bottom), _text(x, bottom + 16, f"{tick:,}", "middle")]
    for row, ((name, count), color) in enumerate(zip(counts.items(), colors, strict=True)):
        y = _TITLE + _ROW * row
        parts += [
            _text(left - 6, y + 15, name, "end"),
            _rectangle(left, y + 3, count * scale, _ROW - 6, color),
            _text(left + count * scale + 4, y + 15, f"{count:,}"),
        ]
    return _svg(width, bottom + _AXIS, parts)


def vertical_bars(
    counts: Mapping[str, int],
    color: str,
    *,
    width: int,
    height: int,
    title: str,
    log: bool = False,
) -> Markup:
    """Returns one bar per column from left to right.

    Args:
        counts: The value of each column by its name, which stands below it.
        color: CSS color of the bars.
        width: Pixels.
        height: Pixels.
        title: Stands above the bars.
        log: Whether the heights are logarithms.
    """
    top = max(counts.values(), default=0)
    ticks = _powers_of_ten(top) if log else _ticks(top, 4)
    left = max(_CHAR * max((len(f"{tick:,}") for tick in ticks), default=0) + 10, _TURNED)
    bottom = height - _AXIS - _CHAR * max((len(name) for name in counts), default=0) / 2
    full = _height(top, log)
    scale = (bottom - _TITLE) / max(full, 1e-9)
    parts = [_text(left, 14, title)]
    for tick in ticks:
        y = bottom - _height(tick, log) * scale
        parts += [_line(left, y, width, y), _text(left - 6, y + 4, f"{tick:,}", "end")]
    step = (width - left) / max(len(counts), 1)
    named = max(math.ceil(24 / step), 1)  # every so many columns has room for its name
    for column, (name, count) in enumerate(counts.items()):
        x, size = left + step * column, _height(count, log) * scale
        parts.append(_rectangle(x + step * 0.1, bottom - size, step * 0.8, size, color))
        if column % named == 0:
            parts.append(_text(x + step / 2 + 4, bottom + 14, name, "end", turn=-30))
    return _svg(width, height, parts)


def lines(
    series: Sequence[tuple[str, str, Sequence[tuple[int, int]]]],
    *,
    width: int,
    height: int,
    x_label: str,
    y_label: str,
) -> Markup:
    """Returns lines over a common axis, with a legend.

    Args:
        series: The name, CSS color and rising points (x, y), none negative, of each line.
        width: Pixels.
        height: Pixels.
        x_label: Stands below the axis of x.
        y_label: Stands above the axis of y.
    """
    last = max((x for _, _, points in series for x, _ in points), default=1)
    top = max((y for _, _, points in series for _, y in points), default=0)
    ticks = _ticks(top, 5)
    left = _CHAR * max(len(f"{tick:,}") for tick in ticks) + 10
    right, bottom = width - 12, height - _AXIS - 12
    across, up = (right - left) / max(last, 1), (bottom - _TITLE) / max(top, 1)
    parts = [_text(left, 14, y_label), _text((left + right) / 2, height - 6, x_label, "middle")]
    for tick in ticks:
        y = bottom - tick * up
        parts += [_line(left, y, right, y), _text(left - 6, y + 4, f"{tick:,}", "end")]
    for tick in _ticks(last, 7):
        x = left + tick * across
        parts += [_line(x, _TITLE, x, bottom), _text(x, bottom + 16, f"{tick:,}", "middle")]
    for number, (name, color, points) in enumerate(series):
        places = " ".join(f"{left + x * across:.1f},{bottom - y * up:.1f}" for x, y in points)
        parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5"/>').format(
                places, color
            )
        )
        y = _TITLE + 16 * number + 12
        parts += [_rectangle(right - 84, y - 6, 16, 3, color), _text(right - 62, y, name)]
    return _svg(width, height, parts)


def _ticks(top: int, count: int) -> list[int]:
    """Returns about `count` round numbers from 0 to `top`."""
    least = max(top / count, 1)
    power = 10 ** math.floor(math.log10(least))
    step = next(int(power * factor) for factor in (1, 2, 5, 10) if power * factor >= least)
    return list(range(0, top + 1, step))


def _powers_of_ten(top: int) -> list[int]:
    powers = [10**exponent for exponent in range(len(str(max(top, 1))))]
    return powers[:: math.ceil(len(powers) / _LOG_TICKS)]


def _height(count: int, log: bool) -> float:
    """Returns the height of a bar; on the log scale one of 1 can be seen."""
    return math.log10(2 * count) if log and count else float(count)


def _svg(width: float, height: float, parts: Iterable[Markup]) -> Markup:
    start = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" '
        'viewBox="0 0 {0:.0f} {1:.0f}" font-family="sans-serif" font-size="12">\n'
    ).format(width, height)
    return start + Markup("\n").join(parts) + Markup("\n</svg>")


def _text(x: float, y: float, text: str, anchor: str = "start", turn: int = 0) -> Markup:
    turned = Markup(' transform="rotate({} {:.1f} {:.1f})"').format(turn, x, y) if turn else ""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="{}"{}>{}</text>').format(
        x, y, anchor, _TEXT, turned, text
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    form = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}"/>')
    return form.format(x1, y1, x2, y2, _GRID)


def _rectangle(x: float, y: float, width: float, height: float, color: str) -> Markup:
    form = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>')
    return form.format(x, y, width, height, color)
