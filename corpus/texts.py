"""Reads the text features of a corpus' pairs, for evaluation, search and reports.

The trainer reads token ids only (`rejoinder.corpus.features.holds_ids`). Texts are
read shard by shard, so memory holds one shard and one batch.
"""

import json
from collections.abc import Iterator, Sequence

from rejoinder import storage
from rejoinder.corpus.features import (
    CONTEXT,
    RESPONSE,
    TEXT_FEATURES,
    further_text_features,
)
from rejoinder.corpus.manifest import Manifest, load_manifest
from rejoinder.corpus.naming import FEATURES
from rejoinder.corpus.reading import read_columns
from rejoinder.errors import UserError


def require_text(folder: str, split: str) -> Manifest:
    """Returns the manifest of `folder` after checking that `split` carries text.

    Raises:
        UserError: There is no such corpus, no such split, or the split was written without text.
    """
    manifest = load_manifest(folder)
    if not manifest.splits.get(split):
        have = ", ".join(sorted(manifest.splits)) or "none"
        raise UserError(f"{folder}: has no {split} split (it has: {have})")
    if split not in manifest.has_text:
        raise UserError(
            f"{folder}: the {split} split carries no text; make the corpus again with "
            "`rejoinder preprocess --keep-text`"
        )
    return manifest


def text_features(folder: str) -> list[str]:
    """Returns the names of the text features of a corpus whose splits all carry text.

    Raises:
        UserError: `features.json` is missing or is not that of a corpus.
    """
    path = storage.join(folder, FEATURES)
    try:
        found = set(json.loads(storage.read_bytes(path))["featuresDict"]["features"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not the features of a corpus ({error}); make the corpus again"
        ) from error
    known = [name for name in TEXT_FEATURES if name in found]
    # As many as there may be, because their names are numbered.
    return [*known, *(name for name in further_text_features(len(found)) if name in found)]


def read_text(
    folder: str,
    shards: Sequence[str],
    features: Sequence[str] = (CONTEXT, RESPONSE),
    *,
    batch_size: int = 4096,
) -> Iterator[dict[str, list[str]]]:
    """Yields the named bytes features of `shards` in file order, as columns of str.

    Args:
        folder: The corpus folder, on any file system of `rejoinder.storage`.
        shards: Names of shard files inside it.
        features: Names of bytes features; one that an example lacks reads as "".
        batch_size: Examples per yielded batch (the last one may hold fewer).

    Yields:
        For each batch {feature: [text, …]}, all lists of equal length.

    Raises:
        UserError: A shard is missing or damaged.
    """
    waiting: dict[str, list[str]] = {name: [] for name in features}
    for shard in shards:
        for reader, spans in read_columns(storage.join(folder, shard), features, batch_size):
            for name, column in waiting.items():
                column.extend(reader.texts(spans[name]))
            if len(waiting[features[0]]) >= batch_size:
                yield {name: column[:batch_size] for name, column in waiting.items()}
                waiting = {name: column[batch_size:] for name, column in waiting.items()}
    if waiting[features[0]]:
        yield waiting
