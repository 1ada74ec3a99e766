"""The manifest of a corpus after pairs were removed: shards, counters and generations."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rejoinder.corpus.manifest import GROWING_FORMAT_VERSION, Manifest, Shard
from rejoinder.pipelines.forgetting.shards import Removal
from rejoinder.pipelines.reddit.threads import OF_SUBMISSION

# Counter of the lines whose pair was removed: their own comment or its parent is forgotten.
FORGOTTEN_PAIR = "forgotten/pair"

# A shard's split and its number in the split.
Place = tuple[str, int]


def without_pairs(
    manifest: Manifest, new_shards: Mapping[Place, Shard], removals: Mapping[Place, Removal]
) -> Manifest:
    """Returns the manifest of the corpus that has some new shards.

    Args:
        manifest: Of the corpus before.
        new_shards: Entries of the shards that were written again.
        removals: What each of them lost.
    """
    if not new_shards:
        return manifest
    splits = {
        split: [new_shards.get((split, number), shard) for number, shard in enumerate(shards)]
        for split, shards in manifest.splits.items()
    }
    removed: dict[str, dict[str, str]] = {split: {} for split in splits}
    for split, number in new_shards:
        removed[split][str(number)] = manifest.splits[split][number].sha256
    entry = {"pairs": _by_split(removals), "replaced": removed}
    return dataclasses.replace(
        manifest,
        format_version=GROWING_FORMAT_VERSION,
        splits=splits,
        counters=_counters(manifest.counters, removals),
        generations=_generations(manifest.generations, removals),
        removals=[*manifest.removals, entry],
    )


def _by_split(removals: Mapping[Place, Removal]) -> dict[str, int]:
    pairs = Counter[str]()
    for (split, _), removal in removals.items():
        pairs[split] += removal.pairs
    return dict(pairs)


def _counters(counters: Mapping[str, int], removals: Mapping[Place, Removal]) -> dict[str, int]:
    """Returns the counters: the line of a removed pair ends in `FORGOTTEN_PAIR`."""
    found = Counter(counters)
    for (split, _), removal in removals.items():
        found[f"pair/{split}"] -= removal.pairs - removal.of_submission
        if removal.of_submission:
            found[f"pair/{split}/{OF_SUBMISSION}"] -= removal.of_submission
        if removal.pairs:
            found[FORGOTTEN_PAIR] += removal.pairs
    return dict(sorted(found.items()))


def _generations(
    generations: list[dict[str, Any]], removals: Mapping[Place, Removal]
) -> list[dict[str, Any]]:
    """Returns the generations with the counts of their own shards."""
    result, first = [], Counter[str]()
    for generation in generations:
        own = {
            (split, number): removal
            for (split, number), removal in removals.items()
            if first[split] <= number < first[split] + generation["shards"][split]
        }
        pairs = Counter(generation["pairs"])
        pairs.subtract(_by_split(own))
        counters = _counters(generation["counters"], own)
        result.append(
            generation
            | {"pairs": dict(pairs), "counters": {name: n for name, n in counters.items() if n}}
        )
        first.update(generation["shards"])
    return result
