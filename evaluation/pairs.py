"""Selects the pairs of an evaluation, in a reproducible order.

The order comes from a hash of each pair's text, so that the batches of 100 do not depend on
the number of shards or on the order in which they were written.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.corpus.features import CONTEXT, RESPONSE, SUBREDDIT, THREAD_ID
from rejoinder.corpus.texts import read_text, require_text

FEATURES = (CONTEXT, RESPONSE, SUBREDDIT, THREAD_ID)

# Reading stops after this many times the pairs needed, but not before 200,000 pairs, which
# fit in memory easily.
_OVERSAMPLING = 4
_LEAST_READ = 200_000


@dataclass(frozen=True)
class Pairs:
    """Columns of equal length. A subreddit or thread that is unknown is an empty string."""

    contexts: list[str]
    responses: list[str]
    subreddits: list[str]
    threads: list[str]

    def __len__(self) -> int:
        return len(self.contexts)

    def groups(self) -> list[str] | None:
        """Returns the thread of each pair, or None if some are unknown."""
        return self.threads if all(self.threads) else None


def select_pairs(
    rows: Iterable[Sequence[str]], *, limit: int, seed: int = 0, deduplicate: bool = False
) -> Pairs:
    """Returns at most `limit` of `rows`, ordered by a seeded hash.

    Args:
        rows: (context, response, subreddit, thread) of each pair.
        limit: Maximum number of pairs.
        seed: Seed of the hash: another seed gives another sample.
        deduplicate: Whether to keep only the first pair of each context, as the reference
            does with `--deduplicate_eval`.
    """
    salt = str(seed).encode()

    def key(row: Sequence[str]) -> bytes:
        text = "\0".join(row).encode()
        return hashlib.blake2b(text, digest_size=16, key=salt).digest()

    ordered = sorted(rows, key=key)
    if deduplicate:
        first: dict[str, Sequence[str]] = {}
        for row in ordered:
            first.setdefault(row[0], row)
        ordered = list(first.values())
    columns: list[list[str]] = [list(column) for column in zip(*ordered[:limit], strict=True)]
    return Pairs(*columns) if columns else Pairs([], [], [], [])


def load_pairs(
    folder: str,
    splits: Sequence[str] = ("test",),
    *,
    limit: int,
    seed: int = 0,
    deduplicate: bool = False,
) -> Pairs:
    """Reads pairs of a corpus and selects among them, see `select_pairs`.

    If the corpus is far larger than `limit`, only some shards are read, chosen by `seed`, so
    that memory is bounded.

    Args:
        folder: The corpus.
        splits: Splits to read.
        limit: Maximum number of pairs.
        seed: Seed of the sample and its order.
        deduplicate: Whether to keep only one pair of each context.

    Raises:
        UserError: the folder is not a finished corpus, or a split has no text features.
    """
    shards = []
    for split in splits:
        shards.extend(require_text(folder, split).splits[split])
    order = np.random.default_rng(seed).permutation(len(shards))
    chosen, examples = [], 0
    for index in order:
        if examples >= max(limit * _OVERSAMPLING, _LEAST_READ):
            break
        chosen.append(shards[index].name)
        examples += shards[index].examples
    rows: list[tuple[str, ...]] = []
    for columns in read_text(folder, chosen, FEATURES):
        rows.extend(zip(*(columns[name] for name in FEATURES), strict=True))
    return select_pairs(rows, limit=limit, seed=seed, deduplicate=deduplicate)
