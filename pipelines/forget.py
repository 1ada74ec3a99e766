"""`rejoinder forget CORPUS`: removes comments from a corpus and what was made of it."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rejoinder.corpus.naming import SPLITS
from rejoinder.errors import UserError
from rejoinder.pipelines.job import arguments, worker_count
from rejoinder.units import format_duration

if TYPE_CHECKING:
    from rejoinder.pipelines.forgetting.corpus import OldCorpus
    from rejoinder.pipelines.forgetting.job import Found

# A worker holds one shard and its ids. It reads 40 MB of shards a second.
_COST = worker_count.WorkerCost(memory=600_000_000, work=256 << 20)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="rejoinder forget",
        description="Removes comments from a corpus: pairs with one of them as context or "
        "response, comments kept for later months, excerpts and samples. Only the files concerned "
        "are written again, and the comments stay out of later months (preprocess --extend).",
        allow_abbrev=False,
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument("corpus", metavar="CORPUS", help="local folder of a finished corpus")
    what = parser.add_argument_group("what to forget")
    what.add_argument(
        "--ids", metavar="FILE", help="one id a line: t1_abc or abc, t3_abc for a submission's text"
    )
    what.add_argument("--authors", metavar="FILE", help="one author's name a line")
    running = parser.add_argument_group("running")
    running.add_argument(
        "--dry-run", action="store_true", help="print what would be removed and write nothing"
    )
    arguments.add_workers_argument(running)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parsed = build_parser().parse_args(argv)
    if not (parsed.ids or parsed.authors):
        raise UserError("nothing to forget; give --ids FILE, --authors FILE or both")
    from rejoinder.pipelines.forgetting import corpus, job, names
    from rejoinder.staging import lock_staging

    started = time.monotonic()
    listed = names.Names(
        names.read_ids(parsed.ids) if parsed.ids else frozenset(),
        names.read_authors(parsed.authors) if parsed.authors else frozenset(),
    )
    inputs = [(f"--{name}", path) for name in ("ids", "authors") if (path := vars(parsed)[name])]
    old = corpus.open_corpus(parsed.corpus, inputs)
    workers = _workers(parsed.workers, old)
    complete = job.complete_names(old, listed, workers)
    found = job.find(old, complete, workers)
    if not parsed.dry_run:
        with lock_staging(old.folder) as staging:
            job.rewrite(old, complete, found, staging, workers)
    print(_summary(found, old, parsed.corpus, dry_run=parsed.dry_run))
    if not parsed.dry_run:
        print(
            f"took {format_duration(time.monotonic() - started)}\nnext: rejoinder verify "
            f"{parsed.corpus}"
        )
    return 0


def _workers(given: int | None, old: "OldCorpus") -> int:
    if given is None:
        workers, line = worker_count.choose_workers(old.manifest.stored_bytes(), _COST)
        print(line, file=sys.stderr)
        return workers
    if given < 1:
        raise UserError(f"--workers: must be at least 1, got {given}")
    return given


def _summary(found: "Found", old: "OldCorpus", shown: str, *, dry_run: bool) -> str:
    pairs = ", ".join(
        f"{split} {found.pairs(split):,} of {old.manifest.examples(split):,}" for split in SPLITS
    )
    shortened = sum(removal.shortened for removal in found.shards.values())
    comments = sum(removal.comments for removal in found.state.values())
    replies = sum(removal.replies for removal in found.state.values())
    shards = sum(map(len, old.manifest.splits.values()))
    lines = [
        f"{shown}: {'would remove' if dry_run else 'removed'}",
        f"  pairs                  {pairs}",
        f"  further contexts       of {shortened:,} other pairs",
        f"  comments kept          {comments:,}; {replies:,} replies to them have no parent now",
        f"  excerpts of rejects    {found.excerpts:,}",
        f"  samples of the report  {found.samples:,}",
        f"  files written again    {len(found.shards):,} of {shards:,} shards, "
        f"{len(found.state):,} of {len(old.state_files()):,} of the thread state",
    ]
    return "\n".join([*lines, *(["nothing was written (--dry-run)"] if dry_run else [])])
