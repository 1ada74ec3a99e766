"""Selects the pairs of an evaluation, in a reproducible order.

The order comes from a hash of each pair's text, so that the batches of 100 do not depend on
the number of shards or on the order in which they were written.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rejoinder.corpus.features import CONTEXT, RESPONSE, SUBREDDIT, THREAD_ID, extra_context
from rejoinder.corpus.texts import read_text, require_text
from rejoinder.errors import UserError

FEATURES = (CONTEXT, RESPONSE, SUBREDDIT, THREAD_ID)

# Reading stops after this many times the pairs needed, but not before 200,000 pairs, which
# fit in memory easily.
_OVERSAMPLING = 4
_LEAST_READ = 200_000


@dataclass(frozen=True)
class Pairs:
    """Columns of equal length. A subreddit or thread that is unknown is an empty string.

    Attributes:
        contexts: The last turns.
        responses: The responses.
        subreddits: Their subreddits.
        threads: Their threads.
        earlier: The earlier turns of each pair, nearest first; empty if they were not read.
    """

    contexts: list[str]
    responses: list[str]
    subreddits: list[str]
    threads: list[str]
    earlier: list[list[str]] = field(default_factory=list)

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
        rows: (context, response, subreddit, thread, earlier turn…) of each pair.
        limit: Maximum number of pairs.
        seed: Seed of the hash: another seed gives another sample.
        deduplicate: Whether to keep only the first pair of each context, as the reference
            does with `--deduplicate_eval`.
    """
    salt = str(seed).encode()

    def key(row: Sequence[str]) -> bytes:
        text = "\0".join(row[: len(FEATURES)]).encode()
        return hashlib.blake2b(text, digest_size=16, key=salt).digest()

    ordered = sorted(rows, key=key)
    if deduplicate:
        first: dict[str, Sequence[str]] = {}
        for row in ordered:
            first.setdefault(row[0], row)
        ordered = list(first.values())
    kept = ordered[:limit]
    contexts, responses, subreddits, threads = (
        [row[index] for row in kept] for index in range(len(FEATURES))
    )
    turns = [list(filter(None, row[len(FEATURES) :])) for row in kept]
    earlier = turns if any(turns) else []
    return Pairs(contexts, responses, subreddits, threads, earlier)


def load_pairs(
    folder: str,
    splits: Sequence[str] = ("test",),
    *,
    limit: int,
    seed: int = 0,
    deduplicate: bool = False,
    extra_contexts: int = 0,
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
        extra_contexts: Earlier turns to read, at most.

    Raises:
        UserError: the folder is not a finished corpus, a split has no text features, or it has
            fewer earlier turns.
    """
    shards = []
    for split in splits:
        manifest = require_text(folder, split)
        shards.extend(manifest.splits[split])
        if (found := manifest.options.get("extra_contexts", 0)) < extra_contexts:
            raise UserError(
                f"--extra-contexts {extra_contexts}: {folder} has {found or 'no'} earlier turns; "
                f"make it with `rejoinder preprocess --extra-contexts {extra_contexts}`"
            )
    features = [*FEATURES, *map(extra_context, range(extra_contexts))]
    order = np.random.default_rng(seed).permutation(len(shards))
    chosen, examples = [], 0
    for index in order:
        if examples >= max(limit * _OVERSAMPLING, _LEAST_READ):
            break
        chosen.append(shards[index].name)
        examples += shards[index].examples
    rows: list[tuple[str, ...]] = []
    for columns in read_text(folder, chosen, features):
        rows.extend(zip(*(columns[name] for name in features), strict=True))
    return select_pairs(rows, limit=limit, seed=seed, deduplicate=deduplicate)
