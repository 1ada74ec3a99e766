"""`rejoinder vocab`: a WordPiece vocabulary from the texts of dumps."""

import argparse
import sys
from collections.abc import Sequence

from rejoinder.models.tokenizer.wordpiece import read_texts, train_wordpiece


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `rejoinder vocab`."""
    parser = argparse.ArgumentParser(
        prog="rejoinder vocab",
        description="Train a WordPiece vocabulary and write a Hugging Face tokenizer folder.",
    )
    parser.add_argument(
        "--input", nargs="+", required=True, metavar="FILE", help="text or NDJSON files or globs"
    )
    parser.add_argument("--field", help="JSON field with the text, such as body; else plain lines")
    parser.add_argument("--size", type=int, default=30_000, help="token ids (default %(default)s)")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder to write")
    args = parser.parse_args(argv)
    folder = train_wordpiece(read_texts(args.input, args.field), args.size, args.output)
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").count("\n")
    print(f"{lines} tokens in {folder}", file=sys.stderr)
