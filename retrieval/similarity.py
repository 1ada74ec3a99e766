"""`rejoinder similarity`: the cosine similarity of a few texts with each other."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def similarity(embeddings: "NDArray[np.floating]") -> "NDArray[np.floating]":
    """Returns the cosines [n, n] of embeddings [n, d]; 0 where one of them is zero."""
    import numpy as np
    from sklearn.metrics.pairwise import cosine_similarity

    return np.asarray(cosine_similarity(embeddings))


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="rejoinder similarity",
        description="Prints the cosine similarity of each text with each text.",
    )
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument(
        "--model",
        required=True,
        metavar="PATH",
        help="training run, export, sentence-transformers or Hugging Face folder, or hub name",
    )
    inputs.add_argument("texts", nargs="+", metavar="TEXT", help="at least two texts")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if len(args.texts) < 2:
        parser.error("give at least two texts")
    from rejoinder.models.encoder import Encoder

    cosines = similarity(Encoder.load(args.model).encode(args.texts))
    for number, (text, row) in enumerate(zip(args.texts, cosines, strict=True), start=1):
        print(f"{number:3}  " + "  ".join(f"{cosine:6.3f}" for cosine in row) + f"  {text}")
    print(
        "nothing was written; "
        f"next: rejoinder search --corpus CORPUS --model {args.model} --query TEXT",
        file=sys.stderr,
    )
    return 0
