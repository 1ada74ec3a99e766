"""How alike a few texts are: the cosine of each with each.

rejoinder similarity --model MODEL "a text" "another" "a third"
"""

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def similarity(embeddings: NDArray[np.floating]) -> NDArray[np.floating]:
    """Returns the cosines [n, n] of embeddings [n, d]; 0 where one of them is zero."""
    from sklearn.metrics.pairwise import cosine_similarity

    return cosine_similarity(embeddings)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="rejoinder similarity", description="Compares texts with each other."
    )
    parser.add_argument(
        "--model", required=True, metavar="PATH", help="anything that models.Encoder.load takes"
    )
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="at least two")
    args = parser.parse_args(argv)
    if len(args.texts) < 2:
        parser.error("give at least two texts")
    from rejoinder.models.encoder import Encoder

    cosines = similarity(Encoder.load(args.model).encode(args.texts))
    for number, (text, row) in enumerate(zip(args.texts, cosines, strict=True), start=1):
        print(f"{number:3}  " + "  ".join(f"{cosine:6.3f}" for cosine in row) + f"  {text}")
    return 0
