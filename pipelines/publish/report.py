"""`report.html` and `report.json`: what went into a corpus, what was left out, and why."""

import html
import io
import json
from collections.abc import Callable
from typing import Any

from rejoinder.corpus.manifest import Manifest
from rejoinder.pipelines.shards.statistics import UNKNOWN_MONTH, PairStatistics

_BLUE, _ORANGE, _GREY = "#2563a8", "#d97a1d", "#9aa3ad"
_TOP = 25
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;max-width:1080px;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
.sub{color:#5d6773;margin:.2rem 0 1.4rem}
.cards{display:flex;gap:1rem;flex-wrap:wrap}
.card{border:1px solid #d9dee4;border-radius:8px;padding:.7rem 1.1rem;min-width:9rem}
.card b{display:block;font-size:1.5rem}.card span{color:#5d6773}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #eceff2}
td.n,th.n{text-align:right}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:1rem}
.stack{display:grid;gap:1rem;align-content:start}
svg{max-width:100%;height:auto}details{margin:.4rem 0}code{font-size:.85em;word-break:break-all}
.hash{font-size:.72em}
"""


def to_json(manifest: Manifest, statistics: PairStatistics) -> str:
    """Returns `report.json`'s text: the figures behind the plots."""
    values = {
        "name": manifest.name,
        "pairs": {split: manifest.examples(split) for split in manifest.splits},
        "lines": sum(entry["lines"] for entry in manifest.inputs),
        "counters": manifest.counters,
        **statistics.to_dict(),
    }
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def to_html(manifest: Manifest, statistics: PairStatistics) -> str:
    """Returns `report.html`'s text: one page that needs no other file."""
    lines = sum(entry["lines"] for entry in manifest.inputs)
    pairs = sum(manifest.examples(split) for split in manifest.splits)
    size = sum(shard.bytes for shards in manifest.splits.values() for shard in shards)
    rejected = sum(n for name, n in manifest.counters.items() if name.startswith("rejected/"))
    cards = [
        (f"{lines:,}", f"lines in {len(manifest.inputs)} files"),
        (f"{pairs:,}", f"pairs ({pairs / max(lines, 1):.1%} of the lines)"),
        *(
            (f"{manifest.examples(s):,}", f"in {s}, {len(manifest.splits[s])} shards")
            for s in manifest.splits
        ),
        (f"{size / 1e6:,.1f} MB", "of shards"),
        (f"{rejected:,}", "lines rejected"),
    ]
    name = html.escape(manifest.name)
    body = [
        f"<h1>{name}</h1><p class=sub>Corpus of tokenized (context, response) pairs. Every line "
        "read ends in exactly one of the counters below.</p>",
        "<div class=cards>"
        + "".join(f"<div class=card><b>{n}</b><span>{t}</span></div>" for n, t in cards)
        + "</div>",
        "<h2>Where the lines went</h2>",
        _figure(lambda axes: _plot_counters(axes, manifest.counters), height=4.2, width=9.6),
        "<p class=sub>Orange: pairs. Blue: filtered, without pair, or rejected. "
        "Grey: repeated or blank.</p>",
        _counter_table(manifest.counters, lines),
        *_rejects(manifest.counters),
        "<h2>Lengths</h2><div class=plots>",
        _figure(
            lambda a: _plot_sides(
                a, statistics.context_chars, statistics.response_chars, "characters"
            )
        ),
        _figure(
            lambda a: _plot_sides(
                a, statistics.context_tokens, statistics.response_tokens, "tokens"
            )
        ),
        "</div>",
    ]
    if statistics.subreddits:
        body += [
            "<h2>Where and when</h2><div class=plots>",
            _figure(lambda a: _plot_subreddits(a, statistics.subreddits), height=5.4),
            "<div class=stack>",
            _figure(lambda a: _plot_months(a, statistics.months), height=2.7),
            _figure(lambda a: _plot_threads(a, statistics.thread_sizes), height=2.7),
            "</div></div>",
        ]
    body += [
        "<h2>Inputs</h2>",
        _inputs(manifest),
        "<h2>Options and versions</h2>",
        _settings(manifest),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        + "\n".join(body)
        + "</html>\n"
    )


def _figure(plot: Callable[[Any], None], *, width: float = 6.4, height: float = 3.4) -> str:
    """Returns an SVG element; the same figures always give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.hashsalt": "rejoinder",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        plot(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return svg[svg.index("<svg") :]


def _thousands(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _bars(axes: Any, labels: list[str], values: list[int], colors: Any = _BLUE) -> None:
    axes.barh(
        labels[::-1], values[::-1], color=colors[::-1] if isinstance(colors, list) else colors
    )
    for at, value in enumerate(values[::-1]):
        axes.text(value, at, f" {value:,}", va="center", fontsize=8)
    axes.margins(x=0.14, y=0.02)
    _thousands(axes.xaxis)


def _plot_counters(axes: Any, counters: dict[str, int]) -> None:
    found = sorted(((n, c) for n, c in counters.items() if c), key=lambda x: -x[1])
    colors = [
        _ORANGE if n.startswith("pair/") else _GREY if "/" not in n else _BLUE for n, _ in found
    ]
    _bars(axes, [n for n, _ in found] or ["none"], [c for _, c in found] or [0], colors)
    axes.set_xlabel("lines")


def _plot_sides(axes: Any, context: dict[str, int], response: dict[str, int], unit: str) -> None:
    for counts, label, color in ((context, "context", _BLUE), (response, "response", _ORANGE)):
        points = sorted((int(value), count) for value, count in counts.items())
        axes.step(
            [x for x, _ in points], [y for _, y in points], where="mid", label=label, color=color
        )
    axes.set_xlabel(f"{unit} per side")
    axes.set_ylabel("pairs")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _thousands(axes.yaxis)


def _plot_subreddits(axes: Any, counts: dict[str, int]) -> None:
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP]
    # A dollar sign would begin a formula.
    _bars(axes, [name.replace("$", r"\$") for name, _ in top], [count for _, count in top])
    axes.set_title(f"pairs per subreddit, top {len(top)} of {len(counts):,}")


def _plot_months(axes: Any, counts: dict[str, int]) -> None:
    known = {month: count for month, count in sorted(counts.items()) if month != UNKNOWN_MONTH}
    axes.bar(range(len(known)), list(known.values()), color=_BLUE)
    step = max(len(known) // 8, 1)
    axes.set_xticks(range(0, len(known), step), list(known)[::step], rotation=30)
    unknown = counts.get(UNKNOWN_MONTH, 0)
    axes.set_title("pairs per month" + (f" ({unknown:,} without a date)" if unknown else ""))
    _thousands(axes.yaxis)


def _plot_threads(axes: Any, counts: dict[str, int]) -> None:
    points = sorted((int(size), count) for size, count in counts.items())
    labels = [f"{size:,}" if size == 1 else f"{size:,} to {2 * size - 1:,}" for size, _ in points]
    axes.bar(labels, [count for _, count in points], color=_BLUE)
    axes.set_yscale("log")
    _thousands(axes.yaxis)
    axes.tick_params(axis="x", rotation=40)
    axes.set_title("threads by number of comments read")


def _rejects(counters: dict[str, int]) -> list[str]:
    """Returns the section on lines that are no comments, which few among millions would hide."""
    prefix = "rejected/"
    found = sorted(
        (-n, name.removeprefix(prefix))
        for name, n in counters.items()
        if n and name.startswith(prefix)
    )
    if not found:
        return []
    height = 0.7 + 0.24 * len(found)
    return [
        "<h2>Rejected lines</h2><p class=sub>Each is listed with file, line number and "
        "beginning in <code>rejects/rejects.ndjson</code>.</p>",
        _figure(
            lambda a: _bars(a, [name for _, name in found], [-n for n, _ in found]),
            height=height,
            width=9.6,
        ),
    ]


def _counter_table(counters: dict[str, int], lines: int) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td class=n>{count:,}<td class=n>{count / max(lines, 1):.2%}"
        for name, count in sorted(counters.items(), key=lambda item: -item[1])
    )
    total = f"<tr><th>all lines<th class=n>{sum(counters.values()):,}<th class=n>100%"
    return f"<details><summary>as a table</summary><table>{rows}{total}</table></details>"


def _inputs(manifest: Manifest) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(entry['path'])}<td class=n>{entry['bytes']:,}"
        f"<td class=n>{entry['lines']:,}<td><code class=hash>{entry['sha256'] or ''}</code>"
        f"<td>{html.escape(entry.get('damage', ''))}"
        for entry in manifest.inputs
    )
    return f"<table><tr><th>file<th class=n>bytes<th class=n>lines<th>sha256<th>{rows}</table>"


def _settings(manifest: Manifest) -> str:
    values = {
        "tokenizer": manifest.tokenizer,
        "max_length": manifest.max_length,
        **manifest.options,
        **manifest.versions,
    }
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td><code>{html.escape(json.dumps(value))}</code>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"
