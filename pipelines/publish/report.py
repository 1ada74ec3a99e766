"""`report.html` and `report.json`: the contents of a corpus, and which lines were left out."""

import json
from collections.abc import Mapping

from markupsafe import Markup

from rejoinder import page
from rejoinder.corpus.manifest import Manifest, counted_lines
from rejoinder.pipelines.dumps.notes import KEPT, ReadNotes
from rejoinder.pipelines.publish import plots
from rejoinder.pipelines.publish.warnings import find_warnings
from rejoinder.pipelines.shards.statistics import PairStatistics
from rejoinder.units import format_bytes

_REJECTED = "rejected/"


def to_json(
    manifest: Manifest, statistics: PairStatistics, notes: ReadNotes, shared: Mapping[str, float]
) -> str:
    """Returns the text of `report.json`: figures, warnings, and samples of what was dropped."""
    values = {
        "name": manifest.name,
        "pairs": {split: manifest.examples(split) for split in manifest.splits},
        "lines": _lines(manifest),
        "counters": manifest.counters,
        "warnings": list(find_warnings(manifest, statistics, notes)),
        "samples": {
            counter: [{"origin": sample.origin, "text": sample.text} for sample in samples]
            for counter, samples in notes.samples.items()
        },
        "shared_texts": shared,
        **statistics.to_dict(),
    }
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def to_html(
    manifest: Manifest, statistics: PairStatistics, notes: ReadNotes, shared: Mapping[str, float]
) -> str:
    """Returns the text of `report.html`: one page that needs no other file.

    The same corpus always gives the same bytes.
    """
    parts = [
        page.note(
            "Corpus of tokenized (context, response) pairs. Each line read is counted in exactly "
            "one of the counters below."
        ),
        page.tiles(_tiles(manifest)),
        *map(page.note, (f"Warning: {w}." for w in find_warnings(manifest, statistics, notes))),
        _counters(manifest),
        page.note(describe_shared(shared)),
        *_rejects(manifest),
        *_samples(notes),
        *_statistics(statistics),
        page.section("Inputs", _inputs(manifest)),
        page.section("Options and versions", _settings(manifest)),
    ]
    return page.render(manifest.name, parts)


def describe_shared(shared: Mapping[str, float]) -> str:
    """Returns the sentence about the texts that both splits have."""
    texts, in_train = shared["test_texts"], shared["in_train"]
    share = shared["compared"]
    sample = "" if share == 1 else f", in a sample of {share:.2%} of all texts"
    return (
        f"{in_train:,} of the {texts:,} different texts of the test split "
        f"({in_train / max(texts, 1):.1%}) are in the train split, too{sample}."
    )


def _lines(manifest: Manifest) -> int:
    return sum(entry["lines"] for entry in manifest.inputs)


def _tiles(manifest: Manifest) -> list[tuple[str, str]]:
    lines = _lines(manifest)
    pairs = sum(manifest.examples(split) for split in manifest.splits)
    rejected = sum(n for name, n in manifest.counters.items() if name.startswith(_REJECTED))
    return [
        (f"{lines:,}", f"lines in {_count(len(manifest.inputs), 'file')}"),
        (f"{pairs:,}", f"pairs ({pairs / max(lines, 1):.1%} of the lines)"),
        *(
            (f"{manifest.examples(split):,}", f"in {split}, {_count(len(shards), 'shard')}")
            for split, shards in manifest.splits.items()
        ),
        (format_bytes(manifest.stored_bytes()), "of shards"),
        (f"{rejected:,}", "lines rejected"),
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _counters(manifest: Manifest) -> Markup:
    counts = sorted(manifest.counters.items(), key=lambda item: (-item[1], item[0]))
    total = counted_lines(manifest.counters)
    rows = [[name, f"{count:,}", f"{count / max(total, 1):.2%}"] for name, count in counts]
    rows.append(["all lines", f"{total:,}", "100%"])
    return page.section(
        "Lines by outcome",
        page.note(
            "Orange: pairs. Blue: filtered, without a pair, or rejected. Grey: duplicate or blank."
        ),
        plots.counters(manifest.counters),
        page.details("Show as a table", page.table(["counter", "lines", "share"], rows)),
    )


def _rejects(manifest: Manifest) -> list[Markup]:
    """Returns the section on rejected lines, which are too few to see among all counters."""
    found = {
        name.removeprefix(_REJECTED): count
        for name, count in sorted(manifest.counters.items(), key=lambda item: (-item[1], item[0]))
        if count and name.startswith(_REJECTED)
    }
    if not found:
        return []
    note = page.note("rejects/rejects.ndjson lists each with file, line number and an excerpt.")
    return [page.section("Rejected lines", note, plots.rejects(found))]


def _samples(notes: ReadNotes) -> list[Markup]:
    """Returns the section with texts that were dropped, folded by counter."""
    if not notes.samples:
        return []
    note = page.note(
        f"Up to {KEPT} for each reason, chosen by the hash of the comment's id or of the line. "
        "Leave them out with --no-samples."
    )
    folded = [
        page.details(counter, page.table(["from", "text"], [s[1:] for s in samples], left=(0, 1)))
        for counter, samples in sorted(notes.samples.items())
    ]
    return [page.section("Samples of what was dropped", note, *folded)]


def _statistics(statistics: PairStatistics) -> list[Markup]:
    characters = statistics.context_chars, statistics.response_chars
    tokens = statistics.context_tokens, statistics.response_tokens
    sections = [
        page.section(
            "Lengths",
            page.grid(plots.lengths(*characters, "characters"), plots.lengths(*tokens, "tokens")),
        )
    ]
    if statistics.subreddits:
        right = page.stack(
            plots.months(statistics.months), plots.thread_sizes(statistics.thread_sizes)
        )
        left = plots.subreddits(statistics.subreddits)
        sections.append(page.section("Subreddits, months and threads", page.grid(left, right)))
    return sections


def _inputs(manifest: Manifest) -> Markup:
    header = ["file", "bytes", "lines", "sha256"]
    rows: list[list[str]] = [
        [
            entry["path"],
            f"{entry['bytes']:,}",
            f"{entry['lines']:,}",
            page.code(entry["sha256"] or ""),
        ]
        for entry in manifest.inputs
    ]
    if any("damage" in entry for entry in manifest.inputs):
        header.append("damage")
        rows = [
            [*row, entry.get("damage", "")]
            for row, entry in zip(rows, manifest.inputs, strict=True)
        ]
    return page.table(header, rows, left=(0, 3, 4))


def _settings(manifest: Manifest) -> Markup:
    values = {
        "tokenizer": manifest.tokenizer,
        "max_length": manifest.max_length,
        **manifest.options,
        **manifest.versions,
    }
    rows = [
        [name, page.code(json.dumps(value, ensure_ascii=False))] for name, value in values.items()
    ]
    return page.table((), rows, left=(0, 1))
