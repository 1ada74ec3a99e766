"""Reads the text features of a corpus' pairs, for evaluation, search and reports.

The trainer reads token ids only (`rejoinder.corpus.features.ID_FEATURES`); whoever needs the
words back goes through here, shard by shard, so that memory stays at one batch.
"""

import posixpath
from collections.abc import Iterator, Sequence

from rejoinder.corpus.features import CONTEXT, RESPONSE
from rejoinder.corpus.manifest import Manifest, load_manifest
from rejoinder.errors import UserError


def require_text(folder: str, split: str) -> Manifest:
    """Returns the manifest of `folder` once it is known that `split` carries text.

    Raises:
        UserError: no such corpus, no such split, or a split written without its text.
    """
    manifest = load_manifest(folder)
    if not manifest.splits.get(split):
        have = ", ".join(sorted(manifest.splits)) or "none"
        raise UserError(f"{folder}: has no {split} split (it has: {have})")
    if split not in manifest.has_text:
        raise UserError(
            f"{folder}: the {split} split carries no text; make it again with "
            f"`make preprocess OUTPUT={folder} ARGS=--keep-text`"
        )
    return manifest


def read_text(
    folder: str,
    shards: Sequence[str],
    features: Sequence[str] = (CONTEXT, RESPONSE),
    *,
    batch_size: int = 4096,
) -> Iterator[dict[str, list[str]]]:
    """Yields the named bytes features of `shards` in file order, as columns of str.

    Args:
        folder: The corpus folder, local or any path TensorFlow reads.
        shards: Names of shard files inside it.
        features: Names of bytes features; one that an example lacks reads as "".
        batch_size: Examples per yielded batch (the last one may hold fewer).

    Yields:
        For each batch {feature: [text, …]}, all lists of equal length.
    """
    import tensorflow as tf

    spec = {name: tf.io.FixedLenFeature([], tf.string, default_value=b"") for name in features}
    paths = [posixpath.join(folder, shard) for shard in shards]
    dataset = tf.data.TFRecordDataset(paths).batch(batch_size)
    dataset = dataset.map(lambda records: tf.io.parse_example(records, spec))
    for columns in dataset.as_numpy_iterator():
        yield {name: [text.decode() for text in columns[name].tolist()] for name in features}
