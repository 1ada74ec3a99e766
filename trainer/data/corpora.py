"""Opens the corpora that a configuration names and checks that they fit together."""

import posixpath
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rejoinder import storage
from rejoinder.corpus.data_config import parse_data_config
from rejoinder.corpus.manifest import Manifest, Shard, load_manifest
from rejoinder.errors import UserError
from rejoinder.trainer.config import PairData
from rejoinder.trainer.data.records import Pairs
from rejoinder.trainer.data.sampler import DataSet


@dataclass(frozen=True)
class Corpus:
    """One corpus of a run.

    Attributes:
        data_set: Name, folder and all shards of the split.
        weight: Draw weight in `data_config.json`; 1 without that file.
        manifest: Manifest of the corpus.
    """

    data_set: DataSet
    weight: int
    manifest: Manifest

    @property
    def examples(self) -> int:
        """Pairs of the split."""
        return sum(shard.examples for shard in self.data_set.shards)


def open_corpora(
    data: PairData, key: str, manifests: dict[str, Manifest] | None = None, *, partial: bool = False
) -> list[Corpus]:
    """Opens every corpus of `data`.

    Args:
        data: The configuration of the pairs.
        key: Name of `data` in error messages, e.g. `task.train_data`.
        manifests: Manifests by folder that are loaded already; those that are loaded
            here are added, so that training and validation load each only once.
        partial: Whether corpora that were made without pairs for the split are left out.

    Raises:
        UserError: A corpus is missing, unfinished, empty, or made with another
            tokenizer than the first; a shard is missing or its size is not the
            one in the manifest.
    """
    manifests = {} if manifests is None else manifests
    corpora: list[Corpus] = []
    for name, folder, weight in folders(data, key):
        if folder not in manifests:
            manifests[folder] = load_manifest(folder)
        shards = tuple(manifests[folder].splits.get(data.split, ()))
        if not sum(shard.examples for shard in shards):
            if partial and data.split in manifests[folder].splits:
                continue
            raise UserError(f"{folder}: has no {data.split!r} pairs ({key}.split)")
        corpora.append(Corpus(DataSet(name, folder, shards), weight, manifests[folder]))
    for corpus in corpora:
        if corpus.manifest.tokenizer != corpora[0].manifest.tokenizer:
            raise UserError(
                f"{corpus.data_set.folder}: was made with another tokenizer than "
                f"{corpora[0].data_set.folder}; make both with the same one"
            )
        _check_files(corpus.data_set.folder, corpus.data_set.shards)
    return corpora


def check_mined(corpora: Sequence[Corpus], count: int, guide: bool) -> None:
    """Checks that corpora carry what `rejoinder mine` adds.

    Args:
        corpora: The corpora to train on.
        count: `task.loss.hard_negatives`.
        guide: `task.loss.guide`.

    Raises:
        UserError: One has fewer negatives, or no vectors of a guide, or vectors of another guide
            than the first.
    """
    for corpus in corpora:
        folder, first = corpus.data_set.folder, corpora[0]
        if guide and not corpus.manifest.guide:
            raise UserError(
                f"task.loss.guide: {folder} has no vectors of a guide; make a corpus with "
                "`rejoinder mine --guide`"
            )
        if guide and corpus.manifest.guide != first.manifest.guide:
            raise UserError(
                f"task.loss.guide: {folder} was mined with {corpus.manifest.guide}, and "
                f"{first.data_set.folder} with {first.manifest.guide}; use one model for both"
            )
        if (found := corpus.manifest.hard_negatives) < count:
            raise UserError(
                f"task.loss.hard_negatives: {count}, but {folder} has "
                f"{found or 'none'}; make a corpus with `rejoinder mine --negatives {count}`"
            )


def check_extra_contexts(corpora: Sequence[Corpus], count: int) -> None:
    """Checks that corpora carry earlier turns.

    Args:
        corpora: The corpora to train on.
        count: `task.loss.extra_contexts`.

    Raises:
        UserError: One has fewer.
    """
    for corpus in corpora:
        if (found := corpus.manifest.extra_contexts) < count:
            raise UserError(
                f"task.loss.extra_contexts: {count}, but {corpus.data_set.folder} has token ids "
                f"of {found or 'none'}; make it with `rejoinder preprocess --extra-contexts "
                f"{count}`"
            )


def check_threads(samples: Sequence[Pairs]) -> None:
    """Checks that pairs of at least one corpus have threads; the others need none.

    Args:
        samples: Some pairs of each corpus, with their `thread_key`.

    Raises:
        UserError: None have.
    """
    if not any(sample.extra["thread_key"].any() for sample in samples):
        raise UserError(
            "task.loss.mask_threads: the pairs of no corpus have a thread_id; make it with "
            "`rejoinder pairs --linked` or `rejoinder preprocess --keep-text`"
        )


def folders(data: PairData, key: str) -> list[tuple[str, str, int]]:
    """Returns name, folder and draw weight of each corpus.

    Raises:
        UserError: The configuration names none, or `data_config.json` is missing or broken.
    """
    if not data.input_path:
        raise UserError(f"{key}.input_path: is empty; name a corpus folder (--corpus)")
    if not data.data_config:
        return [(posixpath.basename(data.input_path.rstrip("/")), data.input_path, 1)]
    if not storage.exists(data.data_config):
        raise UserError(f"{key}.data_config: {data.data_config} does not exist")
    text = storage.read_bytes(data.data_config).decode()
    entries = parse_data_config(text, source=data.data_config)
    return [(e.name, storage.join(data.input_path, e.name), e.weight) for e in entries]


def _check_files(folder: str, shards: Sequence[Shard]) -> None:
    def problem(shard: Shard) -> str | None:
        path = storage.join(folder, shard.name)
        if not storage.exists(path):
            return f"{path}: shard is missing; make the corpus again"
        size = storage.size(path)
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
