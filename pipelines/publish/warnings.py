"""What is probably not as the user wants it in a new corpus, for the report and the summary."""

from collections.abc import Iterator, Sequence

from rejoinder.corpus.manifest import Manifest
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.shards.statistics import UNKNOWN_MONTH, PairStatistics

# Names listed in a warning.
_MAX_NAMES = 10


def find_warnings(
    manifest: Manifest, statistics: PairStatistics, notes: ReadNotes
) -> Iterator[str]:
    """Yields one line per warning."""
    for option in ("subreddits", "block_subreddits"):
        names = manifest.options.get(option, ())
        missing = sorted(set(names) - notes.matched)
        if missing:
            flag = option.replace("_", "-")
            yield f"--{flag}: no comment of the input is in {_join(missing)}"
    empty = sorted(entry["path"] for entry in manifest.inputs if not entry["lines"])
    if empty:
        yield f"no lines in {_join(empty)}"
    unknown = statistics.months[UNKNOWN_MONTH]
    if unknown:
        yield (
            f"{unknown:,} pairs have no month, because created_utc is missing or is not a time "
            "(seconds or milliseconds since 1970, or ISO 8601)"
        )
    if manifest.counters and not any(map(manifest.examples, manifest.splits)):
        yield "the corpus has no pairs; the counters say where the lines went"


def _join(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown} and {len(names) - _MAX_NAMES:,} more"
