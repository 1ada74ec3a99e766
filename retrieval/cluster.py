"""Groups the texts of an index: mini-batch k-means, with the texts nearest to each centre.

rejoinder cluster --index INDEX --clusters 20
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.errors import UserError
from rejoinder.retrieval.index import SearchIndex

_ROWS = 8192


@dataclass(frozen=True)
class Cluster:
    """A group of texts: how many, how alike (mean cosine to the centre), and typical ones."""

    texts: int
    cohesion: float
    examples: list[str]


def cluster(
    index: SearchIndex, clusters: int, *, examples: int = 5, passes: int = 2, seed: int = 0
) -> list[Cluster]:
    """Returns the groups of all texts of `index`, the largest first.

    The embeddings are read in batches from the index' files; memory does not grow with it.

    Args:
        index: Holds at least as many texts as there are to be clusters.
        clusters: Number of groups.
        examples: Typical texts to give of each.
        passes: How often all embeddings are read to move the centres.
        seed: Of the first centres.

    Raises:
        UserError: there are fewer texts than clusters.
    """
    from sklearn.cluster import MiniBatchKMeans

    if not 1 <= clusters <= len(index):
        raise UserError(f"clusters must be 1 to {len(index):,}, the texts there are")
    means = MiniBatchKMeans(clusters, random_state=seed, n_init="auto")
    for _ in range(passes):
        for _, _, vectors in _batches(index, max(_ROWS, clusters)):
            if len(vectors) >= clusters or hasattr(means, "cluster_centers_"):
                means.partial_fit(vectors)
    centres = means.cluster_centers_
    centres = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    counts = np.zeros(clusters, np.int64)
    cosines = np.zeros(clusters)
    for _, _, vectors in _batches(index, _ROWS):
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


def _batches(index: SearchIndex, rows: int) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Yields (segment, first row, embeddings [up to rows, d]) of the whole index."""
    for number, segment in enumerate(index.segments):
        for start in range(0, segment.rows, rows):
            stop = min(start + rows, segment.rows)
            yield number, start, segment.vectors(np.arange(start, stop))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="rejoinder cluster", description="Groups the texts of an index."
    )
    parser.add_argument("--index", required=True, metavar="DIR", help="made by rejoinder.retrieval")
    parser.add_argument("--clusters", type=int, default=20, metavar="N", help="default 20")
    parser.add_argument(
        "--examples", type=int, default=3, metavar="N", help="texts each; default 3"
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    args = parser.parse_args(argv)
    index = SearchIndex(args.index)
    for group in cluster(index, args.clusters, examples=args.examples, seed=args.seed):
        print(f"{group.texts:,} texts, mean cosine {group.cohesion:.3f}")
        for text in group.examples:
            print(f"    {' '.join(text.split())}")
    return 0
