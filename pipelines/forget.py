"""`rejoinder forget CORPUS`: removes comments from a corpus and what was made of it."""

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from rejoinder import extras, interrupts
from rejoinder.corpus.naming import SPLITS
from rejoinder.errors import UserError
from rejoinder.pipelines.job import arguments, worker_count
from rejoinder.units import format_duration

if TYPE_CHECKING:
    from rejoinder.pipelines.forgetting.corpus import OldCorpus
    from rejoinder.pipelines.forgetting.job import Found
    from rejoinder.pipelines.forgetting.names import Names

# A worker holds one shard and its ids. It reads 40 MB of shards a second.
_COST = worker_count.WorkerCost(memory=600_000_000, work=256 << 20)


class Derived(Protocol):
    """A folder that was made of the corpus or of its dumps."""

    @property
    def folder(self) -> str:
        """Its resolved path."""

    @property
    def rows(self) -> int:
        """Number of its rows."""

    def count(self, names: "Names") -> int:
        """Returns how many rows are to be removed."""

    def rewrite(self, names: "Names", staging: str) -> None:
        """Publishes the folder without them."""


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
    what.add_argument(
        "--hash-authors",
        metavar="FILE",
        help="the file with which a corpus of preprocess --hash-authors was made, for --authors",
    )
    made = parser.add_argument_group("what was made of the corpus or its dumps")
    made.add_argument(
        "--embeddings",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="folders of `rejoinder embed`",
    )
    made.add_argument(
        "--index",
        nargs="+",
        action="extend",
        default=[],
        metavar="DIR",
        help="indexes of `rejoinder search`",
    )
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
    if parsed.hash_authors and not parsed.authors:
        raise UserError("--hash-authors: is for --authors; leave it out")
    with interrupts.exit_at_once():
        from rejoinder.pipelines.forgetting import corpus, job
        from rejoinder.pipelines.forgetting.names import read_names
        from rejoinder.staging import lock_staging

    started = time.monotonic()
    listed = read_names(parsed.ids, parsed.authors, parsed.hash_authors)
    flags = ("ids", "authors", "hash_authors")
    inputs = [(f"--{flag}", path) for flag in flags if (path := vars(parsed)[flag])]
    old = corpus.open_corpus(parsed.corpus, listed, parsed.hash_authors, inputs)
    derived = list(_open_derived(parsed, listed, inputs))
    workers = worker_count.workers_of(parsed.workers, old.manifest.stored_bytes, _COST)
    names = job.complete_names(old, listed, workers)
    found = job.find(old, names, workers)
    counts = [target.count(names) for _, target in derived]
    for (shown, target), rows in zip(derived, counts, strict=True):
        if rows and rows == target.rows:
            raise UserError(f"{shown}: would be empty; delete the folder, and leave it out here")
    if not parsed.dry_run:
        # The corpus last: if the command is killed and repeated, it names all comments again.
        for _, target in derived:
            with lock_staging(target.folder) as staging:
                target.rewrite(names, staging)
        if found != job.Found() or old.manifest.state:  # or there is nothing to write
            with lock_staging(old.folder) as staging:
                job.rewrite(old, names, found, staging, workers)
    print(_summary(found, old, parsed.corpus, dry_run=parsed.dry_run))
    for (shown, target), rows in zip(derived, counts, strict=True):
        print(f"  {shown}: {rows:,} of {target.rows:,} rows")
    if parsed.dry_run:
        print("nothing was written (--dry-run)")
    else:
        print(f"in {format_duration(time.monotonic() - started)}")
        print(f"next: rejoinder verify {parsed.corpus}")
    return 0


def _open_derived(
    parsed: argparse.Namespace, names: "Names", inputs: list[tuple[str, str]]
) -> Iterator[tuple[str, "Derived"]]:
    """Yields the embeddings folders and indexes, each with its option and path for messages."""
    if parsed.embeddings:
        from rejoinder.retrieval.forgetting.embeddings import open_embeddings

        for folder in dict.fromkeys(parsed.embeddings):
            yield f"--embeddings {folder}", open_embeddings(folder, names, inputs)
    if parsed.index:
        extras.check_installed("search", "forget --index")
        from rejoinder.retrieval.forgetting.index import open_index

        for folder in dict.fromkeys(parsed.index):
            yield f"--index {folder}", open_index(folder, names, inputs)


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
    return "\n".join(lines)
