"""Threads of linked pairs: pairs that share a text, also through other pairs, are one thread.

Five captions of a picture give ten pairs, and no row says that they are of one picture. Their
texts do: each caption is in four of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rejoinder.corpus import features as names
from rejoinder.errors import UserError
from rejoinder.pipelines.dumps.chunks import FileSummary
from rejoinder.pipelines.dumps.notes import ReadNotes
from rejoinder.pipelines.shuffle import hashing

if TYPE_CHECKING:
    from rejoinder.pipelines.pair_files.extractor import PairFiles

_SEED = 6
# Every worker gets the thread of each text, 16 bytes a text.
_MOST_TEXTS = 4_000_000


@dataclass(frozen=True)
class Threads:
    """The thread of each text.

    Attributes:
        texts: Hashes of the texts, uint64 little-endian, ascending.
        threads: The thread of each of them, uint64 little-endian: the smallest hash of its texts.
    """

    texts: bytes
    threads: bytes

    def of(self, texts: pl.Series) -> pl.Series:
        """Returns the name of the thread of each text, string [n] of 16 characters."""
        known = np.frombuffer(self.texts, "<u8")
        rows = np.searchsorted(known, hashing.hash_strings(texts, _SEED))
        found = np.frombuffer(self.threads, "<u8")[rows]
        return pl.Series(names.THREAD_ID, [f"{thread:016x}" for thread in found.tolist()])


class Sizes(NamedTuple):
    """How large the threads are.

    Attributes:
        pairs: Pairs.
        threads: Threads.
        largest: Pairs of the largest thread.
    """

    pairs: int
    threads: int
    largest: int


def find_threads(
    extractor: "PairFiles", paths: Iterable[str], *, keep_damaged: bool
) -> tuple[Threads, Sizes]:
    """Reads all pairs and finds their threads.

    Args:
        extractor: Reads the pairs.
        paths: The input files.
        keep_damaged: Whether to use the readable part of a damaged archive.

    Raises:
        UserError: A file cannot be read, or the pairs have too many different texts.
    """
    contexts, responses = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
    for path in paths:
        chunks = extractor.read_chunks(
            path,
            FileSummary(),
            begin=0,
            end=None,
            checksum=False,
            keep_damaged=keep_damaged,
            limit=extractor.options.limit,
            progress=lambda stored: None,
        )
        for chunk in chunks:
            rows, *_ = extractor.read(path, chunk, ReadNotes(with_samples=False))
            contexts.append(hashing.hash_strings(rows.get_column(names.CONTEXT), _SEED))
            responses.append(hashing.hash_strings(rows.get_column(names.RESPONSE), _SEED))
    context, response = np.concatenate(contexts), np.concatenate(responses)
    texts, index = np.unique(np.concatenate([context, response]), return_inverse=True)
    if len(texts) > _MOST_TEXTS:
        raise UserError(
            f"--linked: the pairs have {len(texts):,} different texts, at most {_MOST_TEXTS:,} are "
            "possible; give fewer files"
        )
    lowest = components(index[: len(context)], index[len(context) :], len(texts))
    _, pairs = np.unique(lowest[index[: len(context)]], return_counts=True)
    sizes = Sizes(len(context), len(pairs), int(pairs.max(initial=0)))
    return Threads(texts.astype("<u8").tobytes(), texts[lowest].astype("<u8").tobytes()), sizes


def components(a: NDArray[np.int64], b: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Returns the smallest node of each node's connected component, int64 [count].

    Each round joins every component to its smallest neighbour, so that a chain of n nodes needs
    about log2(n) rounds.

    Args:
        a: One node of each edge, int64 [edges].
        b: The other node.
        count: Number of nodes.
    """
    lowest = np.arange(count)
    while True:
        one, two = lowest[a], lowest[b]
        if np.array_equal(one, two):
            return lowest
        np.minimum.at(lowest, np.maximum(one, two), np.minimum(one, two))
        while not np.array_equal(above := lowest[lowest], lowest):
            lowest = above
