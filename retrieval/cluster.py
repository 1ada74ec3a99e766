"""`rejoinder cluster`: groups the texts of an index with mini-batch k-means."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rejoinder.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rejoinder.retrieval.index import SearchIndex

_ROWS = 8192
_PASSES = 2


@dataclass(frozen=True)
class Cluster:
    """A group of texts.

    Attributes:
        texts: Number of texts.
        cohesion: Mean cosine of its texts with its centre.
        examples: The texts nearest to its centre, nearest first.
    """

    texts: int
    cohesion: float
    examples: list[str]


def cluster(
    index: "SearchIndex", clusters: int, *, examples: int = 5, seed: int = 0
) -> list[Cluster]:
    """Groups all texts of an index.

    The embeddings are read from the index's files in batches, so memory does not grow
    with the index.

    Args:
        index: The index; it holds at least as many texts as `clusters`.
        clusters: Number of groups.
        examples: Number of example texts for each group.
        seed: Seed of the first centres.

    Returns:
        The groups that have texts, largest first.

    Raises:
        UserError: There are fewer texts than clusters.
    """
    import numpy as np
    from sklearn.cluster import MiniBatchKMeans

    if not 1 <= clusters <= len(index):
        raise UserError(
            f"--clusters must be 1 to {len(index):,}, the number of texts in the index; "
            f"got {clusters:,}"
        )
    means = MiniBatchKMeans(clusters, random_state=seed, n_init="auto")
    for _ in range(_PASSES):
        for vectors in _batches(index, max(_ROWS, clusters)):
            # k-means starts with a batch of at least one text for each centre.
            if len(vectors) >= clusters or hasattr(means, "cluster_centers_"):
                means.partial_fit(vectors)
    centres = means.cluster_centers_
    centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    counts = np.zeros(clusters, np.int64)
    cosines = np.zeros(clusters)
    for vectors in _batches(index, _ROWS):
        scores = vectors @ centres.T
        own = scores.argmax(axis=1)
        counts += np.bincount(own, minlength=clusters)
        cosines += np.bincount(own, weights=scores.max(axis=1), minlength=clusters)
    nearest = index.search(centres.astype(np.float32), examples)
    groups = [
        Cluster(int(count), float(cosine / count), [answer.text for answer in answers])
        for count, cosine, answers in zip(counts, cosines, nearest, strict=True)
        if count
    ]
    return sorted(groups, key=lambda group: -group.texts)


def _batches(index: "SearchIndex", rows: int) -> Iterator["NDArray[np.float32]"]:
    """Yields all embeddings, at least `rows` rows at a time but for the last batch."""
    import numpy as np

    pending: list[NDArray[np.float32]] = []
    for segment in index.segments:
        for start in range(0, segment.rows, rows):
            pending.append(segment.vectors(np.arange(start, min(start + rows, segment.rows))))
            if sum(map(len, pending)) >= rows:
                yield np.concatenate(pending)
                pending = []
    if pending:
        yield np.concatenate(pending)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="rejoinder cluster",
        description="Groups the texts of an index by mini-batch k-means, and prints the size of "
        "each group, the mean cosine with its centre, and the texts nearest to its centre.",
    )
    inputs = parser.add_argument_group("inputs")
    inputs.add_argument(
        "--index", required=True, metavar="DIR", help="an index built by `rejoinder search`"
    )
    groups = parser.add_argument_group("groups")
    groups.add_argument(
        "--clusters", type=int, default=20, metavar="N", help="number of groups (default 20)"
    )
    groups.add_argument(
        "--examples", type=int, default=3, metavar="N", help="texts to print of each (default 3)"
    )
    groups.add_argument("--seed", type=int, default=0, metavar="N", help="seed (default 0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.examples < 1:
        parser.error("--examples must be at least 1")
    from rejoinder.retrieval.index import SearchIndex

    index = SearchIndex(args.index)
    groups = cluster(index, args.clusters, examples=args.examples, seed=args.seed)
    for group in groups:
        print(f"{group.texts:,} texts, mean cosine {group.cohesion:.3f}")
        for text in group.examples:
            print(f"    {' '.join(text.split())}")
    print(
        f"{len(groups):,} groups of {len(index):,} texts; nothing was written; "
        f"next: rejoinder search --index {args.index} --query TEXT",
        file=sys.stderr,
    )
    return 0
