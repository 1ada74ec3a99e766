"""`rejoinder vocab`: trains a WordPiece vocabulary on the texts of dumps."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.naming import COMPLETED
from rejoinder.output import FolderKind, check_output, check_place, surroundings
from rejoinder.publishing import publish
from rejoinder.staging import lock_staging

if TYPE_CHECKING:
    from rejoinder.pipelines.dumps.texts import TextSummary

# The files that a tokenizer folder consists of, besides `COMPLETED` with their checksums.
TOKENIZER_FILES = (
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
# Names of the files to read in a folder, with and without --field.
_JSON_PATTERNS = ("RC_*", "*.jsonl", "*.jsonl.*", "*.ndjson", "*.ndjson.*", "*.json.gz")
_PLAIN_PATTERNS = ("*.txt", "*.txt.*")


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="rejoinder vocab",
        description="Trains a WordPiece vocabulary with MPNet's special tokens and writes a "
        "Hugging Face tokenizer folder. The same texts give the same bytes.",
    )
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "--input",
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, globs or folders, local or gs://; plain, .zst, .bz2, .xz or .gz",
    )
    paths.add_argument("--output", required=True, metavar="DIR", help="tokenizer folder to write")
    paths.add_argument("--overwrite", action="store_true", help="replace the tokenizer at --output")
    texts = parser.add_argument_group("texts and vocabulary")
    texts.add_argument(
        "--field",
        metavar="NAME",
        help="JSON field with the text, such as body (default: each line is a text)",
    )
    texts.add_argument(
        "--size",
        type=int,
        default=30_000,
        metavar="N",
        help="number of token ids, special tokens included (default %(default)s)",
    )
    damage = parser.add_argument_group("damaged input")
    damage.add_argument(
        "--on-truncated",
        choices=["error", "keep"],
        default="error",
        help="keep: use the data before the damage in an archive (default error)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    arguments = build_parser().parse_args(argv)
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece
    from rejoinder.pipelines.dumps import input_files

    output = check_output(arguments.output, TOKENIZER, overwrite=arguments.overwrite)
    patterns = _PLAIN_PATTERNS if arguments.field is None else _JSON_PATTERNS
    files = input_files.expand(arguments.input, patterns, accept_submissions=True)
    inputs = surroundings(("--input", file.path) for file in files)
    check_place(arguments.output, output, inputs)
    texts = _read(files, arguments.field, keep_damaged=arguments.on_truncated == "keep")
    with tempfile.TemporaryDirectory() as folder:
        train_wordpiece(texts, arguments.size, folder)
        written = {name: Path(folder, name).read_bytes() for name in TOKENIZER_FILES}
    _publish(output, written, overwrite=arguments.overwrite)
    tokens = written["vocab.txt"].count(b"\n")
    count = "1 file" if len(files) == 1 else f"{len(files):,} files"
    print(f"wrote {arguments.output}: a tokenizer of {tokens:,} tokens, learned from {count}")
    print(
        f"next: rejoinder preprocess --input DUMPS --tokenizer {arguments.output} --output CORPUS"
    )
    return 0


def _publish(output: str, files: dict[str, bytes], *, overwrite: bool) -> None:
    digests = {name: checksums.sha256(data) for name, data in files.items()}
    documents = {**files, COMPLETED: checksums.to_text(digests).encode()}
    with lock_staging(output) as staging:
        publish(
            output,
            staging,
            TOKENIZER,
            overwrite=overwrite,
            moves={},
            documents=documents,
            last=COMPLETED,
        )


def listed_files(folder: str) -> frozenset[str] | None:
    """Returns the names of a tokenizer's files, None if this program wrote no tokenizer there."""
    completed = storage.join(folder, COMPLETED)
    if not storage.exists(completed):
        return None
    digests = checksums.from_text(storage.read_bytes(completed).decode("utf-8", "replace"))
    return frozenset({COMPLETED, *digests}) if digests.keys() == {*TOKENIZER_FILES} else None


TOKENIZER = FolderKind("tokenizer", listed_files)


def _read(
    files: Sequence[storage.FileEntry], field: str | None, *, keep_damaged: bool
) -> Iterator[str]:
    """Yields the texts of all files, with progress and skipped lines on standard error."""
    from rejoinder.pipelines.dumps.input_files import Part
    from rejoinder.pipelines.dumps.texts import TextSummary, read_texts
    from rejoinder.pipelines.job.progress import Progress, ProgressLine

    total = sum(file.size for file in files)
    notes: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        ProgressLine(folder, total, num_buckets=0, stream=sys.stderr),
    ):
        progress = Progress(folder)
        for file in files:
            summary = TextSummary()
            yield from read_texts(
                file.path,
                field,
                summary,
                keep_damaged=keep_damaged,
                progress=progress.reader(Part(file.path, file.size)),
            )
            notes += _notes(file.path, summary)
    for note in notes:
        print(note, file=sys.stderr)


def _notes(path: str, summary: "TextSummary") -> Iterator[str]:
    """Yields what was not used of a file."""
    if summary.damage:
        yield f"kept the data before the damage: {summary.damage}"
    if summary.rejects:
        reasons = ", ".join(f"{name} {count:,}" for name, count in sorted(summary.rejects.items()))
        skipped = summary.rejects.total()
        yield f"{path}: skipped {skipped:,} of {summary.lines:,} lines ({reasons})"
