"""`rejoinder vocab`: trains a WordPiece vocabulary on the texts of dumps."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rejoinder.errors import UserError

if TYPE_CHECKING:
    from rejoinder.pipelines.dumps.texts import TextSummary
    from rejoinder.storage import FileEntry

# The files that a tokenizer folder consists of.
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
    from rejoinder import storage
    from rejoinder.models.tokenizer.wordpiece import train_wordpiece
    from rejoinder.pipelines.dumps import input_files

    output = arguments.output.rstrip("/") or "/"
    check_output(output, overwrite=arguments.overwrite)
    patterns = _PLAIN_PATTERNS if arguments.field is None else _JSON_PATTERNS
    files = input_files.expand(arguments.input, patterns, accept_submissions=True)
    texts = _read(files, arguments.field, keep_damaged=arguments.on_truncated == "keep")
    with tempfile.TemporaryDirectory() as folder:
        train_wordpiece(texts, arguments.size, folder)
        written = {name: Path(folder, name).read_bytes() for name in TOKENIZER_FILES}
    storage.make_folder(output)
    for name, data in written.items():
        storage.write_bytes(storage.join(output, name), data)
    tokens = written["vocab.txt"].count(b"\n")
    count = "1 file" if len(files) == 1 else f"{len(files):,} files"
    print(f"wrote {output}: a tokenizer of {tokens:,} tokens, learned from {count}")
    print(f"next: rejoinder preprocess --input DUMPS --tokenizer {output} --output CORPUS")
    return 0


def check_output(folder: str, *, overwrite: bool) -> None:
    """Checks that a tokenizer may be written to a folder.

    Raises:
        UserError: It is not a folder, it has files that are not a tokenizer's, or it has
            a tokenizer and `overwrite` is false.
    """
    from rejoinder import storage

    if storage.is_local(folder) and os.path.exists(folder):
        if not os.path.isdir(folder):
            raise UserError(f"{folder}: is not a folder; choose another --output")
        names = os.listdir(folder)
    else:
        entries = storage.glob(storage.join(folder, "*"))
        names = [entry.path.rsplit("/", 1)[-1] for entry in entries]
    foreign = sorted(set(names).difference(TOKENIZER_FILES))
    if foreign:
        raise UserError(
            f"{folder}: has {foreign[0]}, which is not a file of a tokenizer; "
            "choose another --output"
        )
    if names and not overwrite:
        raise UserError(
            f"{folder}: has a tokenizer already; choose another --output, "
            "or replace it with --overwrite"
        )


def _read(files: Sequence["FileEntry"], field: str | None, *, keep_damaged: bool) -> Iterator[str]:
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
