"""`rejoinder inspect CORPUS`: statistics and decoded examples of a corpus."""

import argparse
import itertools
import json
from collections.abc import Sequence
from typing import Any

from rejoinder.corpus.manifest import Manifest, load_manifest
from rejoinder.corpus.naming import SPLITS
from rejoinder.errors import UserError
from rejoinder.tables import list_table
from rejoinder.units import format_bytes

# Histograms of `report.json`, with their titles.
_HISTOGRAMS = {
    "context_tokens": "tokens of a context",
    "response_tokens": "tokens of a response",
    "context_chars": "characters of a context",
    "response_chars": "characters of a response",
}


def summarize(manifest: Manifest, report: dict[str, Any]) -> str:
    """Returns the statistics of a corpus as text.

    Args:
        manifest: The corpus' manifest.
        report: The values of `report.json`; empty if the corpus has none.
    """
    title = f"{manifest.name}: tokenizer {manifest.tokenizer[:12]}, {manifest.vocab_size:,} tokens"
    splits = []
    for split, shards in manifest.splits.items():
        size = format_bytes(sum(shard.bytes for shard in shards))
        content = "ids and texts" if split in manifest.has_text else "ids only"
        pairs = f"{manifest.examples(split):>14,} pairs"
        splits.append((split, f"{pairs}  {len(shards):>5} shards  {size:>10}  {content}"))
    by_count = sorted(manifest.counters.items(), key=lambda item: -item[1])
    counters = [(name, f"{count:>14,}") for name, count in by_count]
    histograms = [
        (title, _describe({int(value): count for value, count in report[key].items()}))
        for key, title in _HISTOGRAMS.items()
        if report.get(key)
    ]
    return "\n".join(
        [
            list_table(splits, title),
            list_table(counters, "counters"),
            *([list_table(histograms, "lengths")] if histograms else []),
        ]
    )


def _describe(counts: dict[int, int]) -> str:
    """Describes a histogram, a count by each value."""
    mean = sum(value * count for value, count in counts.items()) / sum(counts.values())
    median, p90, p99 = (percentile(counts, share) for share in (0.5, 0.9, 0.99))
    return f"mean {mean:.1f}, median {median}, p90 {p90}, p99 {p99}"


def percentile(counts: dict[int, int], share: float) -> int:
    """Returns the smallest value that at least `share` of a histogram does not exceed.

    Args:
        counts: Count by value.
        share: In (0, 1].
    """
    wanted = share * sum(counts.values())
    values = sorted(counts)
    totals = itertools.accumulate(counts[value] for value in values)
    return next(value for value, total in zip(values, totals, strict=True) if total >= wanted)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="rejoinder inspect",
        description="Prints the statistics of a corpus and its first examples.",
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "corpus", metavar="CORPUS", help="folder of a finished corpus, local or gs://"
    )
    examples = parser.add_argument_group("examples")
    examples.add_argument("--split", choices=SPLITS, default="test", help="default %(default)s")
    examples.add_argument(
        "--examples", type=int, default=5, metavar="N", help="number of examples (default 5)"
    )
    examples.add_argument(
        "--json", action="store_true", help="print only the examples, as JSON lines"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    arguments = build_parser().parse_args(argv)
    from rejoinder import storage
    from rejoinder.corpus.reading import read_examples

    if arguments.examples < 0:
        raise UserError(f"--examples: must be at least 0, got {arguments.examples}")
    if not arguments.corpus:
        raise UserError("CORPUS: is empty; give the folder of a corpus")
    folder = arguments.corpus.rstrip("/") or "/"
    manifest = load_manifest(folder)
    examples = itertools.islice(read_examples(folder, arguments.split), arguments.examples)
    if arguments.json:
        for example in examples:
            print(json.dumps(example, ensure_ascii=False, sort_keys=True))
        return 0
    path = storage.join(folder, "report.json")
    print(summarize(manifest, json.loads(storage.read_bytes(path)) if storage.exists(path) else {}))
    for number, example in enumerate(examples):
        print(list_table(sorted(example.items()), f"{arguments.split} example {number}"))
    return 0
