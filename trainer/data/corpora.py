"""Opens the corpora a configuration names and checks that they fit together."""

import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rejoinder.corpus.data_config import parse_data_config
from rejoinder.corpus.manifest import Manifest, Shard, load_manifest
from rejoinder.errors import UserError
from rejoinder.trainer.config import PairData
from rejoinder.trainer.data.sampler import Source


@dataclass(frozen=True)
class Corpus:
    """One data set.

    Attributes:
        source: Its folder and all its shards of the split.
        weight: Draw weight in `data_config.json`, 1 without one.
        manifest: The corpus' manifest.
    """

    source: Source
    weight: int
    manifest: Manifest

    @property
    def examples(self) -> int:
        """Pairs of the split."""
        return sum(shard.examples for shard in self.source.shards)


def open_corpora(data: PairData, key: str) -> list[Corpus]:
    """Opens every corpus of `data`; `key` names it in messages (`task.train_data`).

    Raises:
        UserError: a corpus is missing, unfinished, empty, or made with another
            tokenizer than the first; a shard is missing or has another size
            than the manifest says.
    """
    import tensorflow as tf

    if not data.input_path:
        raise UserError(f"{key}.input_path: must name a corpus folder, got nothing")
    if data.data_config:
        if not tf.io.gfile.exists(data.data_config):
            raise UserError(f"{key}.data_config: {data.data_config} does not exist")
        with tf.io.gfile.GFile(data.data_config) as file:
            entries = parse_data_config(file.read(), source=data.data_config)
        named = [(e.name, posixpath.join(data.input_path, e.name), e.weight) for e in entries]
    else:
        name = posixpath.basename(data.input_path.rstrip("/"))
        named = [(name, data.input_path, 1)]
    corpora = []
    for name, folder, weight in named:
        manifest = load_manifest(folder)
        shards = tuple(manifest.splits.get(data.split, ()))
        if not sum(shard.examples for shard in shards):
            raise UserError(f"{folder}: has no {data.split!r} pairs ({key}.split)")
        corpora.append(Corpus(Source(name, folder, shards), weight, manifest))
    first = corpora[0]
    for corpus in corpora:
        if corpus.manifest.tokenizer != first.manifest.tokenizer:
            raise UserError(
                f"{corpus.source.folder}: was made with another tokenizer than "
                f"{first.source.folder}; make both with the same one"
            )
        _check_files(corpus.source.folder, corpus.source.shards)
    return corpora


def _check_files(folder: str, shards: Sequence[Shard]) -> None:
    import tensorflow as tf

    def problem(shard: Shard) -> str | None:
        path = posixpath.join(folder, shard.name)
        try:
            size = tf.io.gfile.stat(path).length
        except tf.errors.NotFoundError:
            return f"{path}: shard is missing; make the corpus again"
        if size != shard.bytes:
            return (
                f"{path}: shard has {size} bytes, manifest.json says {shard.bytes}; "
                "make the corpus again"
            )
        return None

    with ThreadPoolExecutor(16) as pool:
        for found in pool.map(problem, shards):
            if found:
                raise UserError(found)
