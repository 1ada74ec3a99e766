"""`rejoinder inspect CORPUS`: decoded examples and statistics of a corpus."""

import argparse
import itertools
import json
from collections.abc import Sequence

from rejoinder.corpus.manifest import Manifest
from rejoinder.corpus.naming import SPLITS


def summary(manifest: Manifest, report: dict | None) -> str:
    """Returns the corpus' figures as text."""
    lines = [f"{manifest.name}: tokenizer {manifest.tokenizer[:12]}, {manifest.vocab_size} entries"]
    for split, shards in manifest.splits.items():
        size = sum(shard.bytes for shard in shards)
        text = "ids and texts" if split in manifest.has_text else "ids only"
        lines.append(
            f"  {split:<6}{manifest.examples(split):>14,} pairs  {len(shards):>5} shards  "
            f"{size / 1e6:>10,.1f} MB  {text}"
        )
    lines.append("counters")
    for name, count in sorted(manifest.counters.items(), key=lambda item: -item[1]):
        lines.append(f"  {name:<34}{count:>14,}")
    for key, title in (
        ("context_tokens", "tokens of a context"),
        ("response_tokens", "tokens of a response"),
        ("context_chars", "characters of a context"),
        ("response_chars", "characters of a response"),
    ):
        histogram = (report or {}).get(key)
        if histogram:
            counts = {int(value): count for value, count in histogram.items()}
            mean = sum(v * c for v, c in counts.items()) / sum(counts.values())
            p50, p90, p99 = (_percentile(counts, share) for share in (0.5, 0.9, 0.99))
            lines.append(f"{title}: mean {mean:.1f}, median {p50}, p90 {p90}, p99 {p99}")
    return "\n".join(lines)


def _percentile(counts: dict[int, int], share: float) -> int:
    wanted = share * sum(counts.values())
    running = itertools.accumulate(count for _, count in sorted(counts.items()))
    return next(v for v, total in zip(sorted(counts), running, strict=True) if total >= wanted)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="rejoinder inspect",
        description="Shows what a corpus is made of, and its first examples.",
    )
    parser.add_argument("corpus", help="folder of a finished corpus")
    parser.add_argument("--split", choices=SPLITS, default="test", help="default %(default)s")
    parser.add_argument("--examples", type=int, default=5, help="examples to show (default 5)")
    parser.add_argument("--json", action="store_true", help="examples as JSON lines, nothing else")
    arguments = parser.parse_args(argv)
    from rejoinder import storage
    from rejoinder.pipelines.job import thread_limit
    from rejoinder.pipelines.shards import reading

    thread_limit.limit_threads()
    folder = arguments.corpus.rstrip("/")
    manifest = reading.read_manifest(folder)
    examples = itertools.islice(reading.read_examples(folder, arguments.split), arguments.examples)
    if arguments.json:
        for example in examples:
            print(json.dumps(example, ensure_ascii=False, sort_keys=True))
        return 0
    path = storage.join(folder, "report.json")
    report = json.loads(storage.read_bytes(path)) if storage.exists(path) else None
    print(summary(manifest, report))
    for number, example in enumerate(examples):
        print(f"{arguments.split} example {number}")
        for name, value in sorted(example.items()):
            print(f"  {name:<16}{value}")
    return 0
