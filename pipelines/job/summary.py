"""The text that a job prints at its end: counters, what was written where, and what to run next."""

from collections.abc import Sequence

from rejoinder.corpus.manifest import Manifest
from rejoinder.corpus.naming import SPLITS
from rejoinder.tables import list_table


def summarize(manifest: Manifest, output: str, seconds: float, warnings: Sequence[str] = ()) -> str:
    """Returns the summary of a finished job.

    Args:
        manifest: The manifest of the new corpus.
        output: The corpus folder.
        seconds: Wall time of the job.
        warnings: What is probably not as the user wants it.
    """
    lines = sum(entry["lines"] for entry in manifest.inputs)
    counters = sorted(manifest.counters.items(), key=lambda item: -item[1])
    width = len(f"{lines:,}")
    rows = [(name, f"{count:>{width},}") for name, count in counters if count]
    shards = sum(len(entries) for entries in manifest.splits.values())
    pairs = ", ".join(f"{split} {manifest.examples(split):,}" for split in SPLITS)
    return "\n".join(
        [
            list_table(rows, f"{lines:,} lines in {seconds:.1f} s"),
            *(f"warning: {warning}" for warning in warnings),
            *_added(manifest),
            f"wrote {output}: {shards} shards, pairs: {pairs}; open report.html there",
            *next_steps(output),
        ]
    )


def _added(manifest: Manifest) -> list[str]:
    """Returns the line about a run that extended a corpus."""
    if len(manifest.generations) < 2:
        return []
    added = manifest.generations[-1]
    pairs = ", ".join(f"{split} {added['pairs'][split]:,}" for split in SPLITS)
    repeated = added["counters"].get("duplicate_id", 0)
    return [
        f"added {sum(added['shards'].values())} shards, pairs: {pairs}; {repeated:,} comments had "
        "an id that the corpus or the input has already"
    ]


def summarize_submission(output: str, completed: str) -> str:
    """Returns the text for a job that goes on without this process.

    Args:
        output: The corpus folder.
        completed: Name of the file that the job writes last.
    """
    return "\n".join(
        [f"submitted; {output} is finished when it holds {completed}", *next_steps(output)]
    )


def next_steps(output: str) -> list[str]:
    """Returns the lines that name the commands for a new corpus."""
    return [
        f"next: rejoinder verify {output}",
        f"      rejoinder train --config CONFIG --corpus {output} --model-dir DIR",
    ]
