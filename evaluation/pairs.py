"""The pairs an evaluation runs on: always the same ones, in an order of their own.

The order comes from a hash of each pair's text, so that the batches of 100 depend neither
on how many shards a corpus has nor on how they were written.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.corpus.features import CONTEXT, RESPONSE, SUBREDDIT, THREAD_ID
from rejoinder.corpus.texts import read_text, require_text

FEATURES = (CONTEXT, RESPONSE, SUBREDDIT, THREAD_ID)

# A sample of n pairs is drawn from at least this many times n, and from no fewer pairs than
# fit in memory at ease, where the split has them.
_OVERSAMPLING = 4
_LEAST_READ = 200_000


@dataclass(frozen=True)
class Pairs:
    """Columns of equal length; `subreddits` and `threads` may hold empty strings."""

    contexts: list[str]
    responses: list[str]
    subreddits: list[str]
    threads: list[str]

    def __len__(self) -> int:
        return len(self.contexts)

    def groups(self) -> list[str] | None:
        """Returns the threads to resample by, None where the corpus does not know them."""
        return self.threads if all(self.threads) else None


def select_pairs(
    rows: Iterable[Sequence[str]], *, limit: int, seed: int = 0, deduplicate: bool = False
) -> Pairs:
    """Returns at most `limit` of `rows` in the order of their seeded hash.

    Args:
        rows: (context, response, subreddit, thread) of each pair.
        limit: Most pairs to keep.
        seed: Another seed gives another sample in another order.
        deduplicate: Keep only the first pair of each context, as the reference's
            `--deduplicate_eval`.
    """
    salt = str(seed).encode()

    def key(row: Sequence[str]) -> bytes:
        text = "\0".join(row).encode()
        return hashlib.blake2b(text, digest_size=16, key=salt).digest()

    ordered = sorted(rows, key=key)
    if deduplicate:
        # A dict keeps the first of equal keys in order only if later ones do not replace it.
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
    """Reads pairs of a corpus, see `select_pairs`.

    Of a corpus far larger than `limit` only some shards are read, chosen by `seed`; memory
    is bounded by these.

    Raises:
        UserError: the folder is no finished corpus, or a split carries no text.
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
