"""Finds forgotten comments in a corpus, and writes the corpus without them.

The new corpus is a new folder that takes the place of the old one at once. Files without such a
comment are hard links in it.
"""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tqdm import tqdm

from rejoinder import publishing, storage
from rejoinder.corpus import checksums, data_card
from rejoinder.corpus.contents import CORPUS
from rejoinder.corpus.manifest import Manifest, Shard
from rejoinder.corpus.naming import COMPLETED, MANIFEST, REJECTS_FILE
from rejoinder.corpus.table_files import TableFiles
from rejoinder.errors import UserError
from rejoinder.output import check_replaceable
from rejoinder.pipelines.forgetting import shards, texts, thread_rows
from rejoinder.pipelines.forgetting.corpus import FLAG, OldCorpus
from rejoinder.pipelines.forgetting.manifest import Place, without_pairs
from rejoinder.pipelines.forgetting.names import Names
from rejoinder.pipelines.forgetting.shards import Removal
from rejoinder.pipelines.forgetting.thread_rows import StateRemoval
from rejoinder.pipelines.growth import forgotten
from rejoinder.pipelines.growth.corpus import Base
from rejoinder.pipelines.job import pool
from rejoinder.pipelines.publish import report, tfds_metadata
from rejoinder.pipelines.publish.staging import StagedFile, stage
from rejoinder.pipelines.shards.statistics import PairStatistics

_REPORT, _PAGE = "report.json", "report.html"
_Result = TypeVar("_Result")


@dataclass
class Found:
    """What there is to remove.

    Attributes:
        shards: By the place of each shard that is written again.
        state: By the name of each file of the thread state that is written again.
        excerpts: Excerpts of rejected lines.
        samples: Samples of the report.
    """

    shards: dict[Place, Removal] = field(default_factory=dict)
    state: dict[str, StateRemoval] = field(default_factory=dict)
    excerpts: int = 0
    samples: int = 0

    def pairs(self, split: str) -> int:
        """Returns the pairs of a split."""
        return sum(removal.pairs for (of, _), removal in self.shards.items() if of == split)


def complete_names(old: OldCorpus, names: Names, workers: int) -> Names:
    """Adds the ids of the authors' comments, by which these are found everywhere else.

    Args:
        old: The corpus.
        names: What to forget.
        workers: Processes that read.

    Raises:
        UserError: A file is missing or damaged.
    """
    if not names.authors:
        return names
    paths = [old.path(shard.name) for _, _, shard in old.shards()]
    find = functools.partial(shards.ids_of_authors, extra_contexts=old.extra_contexts, names=names)
    found = set[str]().union(*_call(find, paths, workers, "shards, authors"))
    paths = [old.path(name) for name in old.state_files()]
    find_rows = functools.partial(thread_rows.ids_of_authors, names=names)
    found = found.union(*_call(find_rows, paths, workers, "state, authors"))
    return names.with_ids(found)


def find(old: OldCorpus, names: Names, workers: int) -> Found:
    """Returns what there is to remove; nothing is written.

    Args:
        old: The corpus.
        names: What to forget, from `complete_names`.
        workers: Processes that read.

    Raises:
        UserError: A file is missing or damaged.
    """
    result = Found()
    places = [((split, number), shard) for split, number, shard in old.shards()]
    count = functools.partial(shards.count, extra_contexts=old.extra_contexts, names=names)
    removals = _call(count, [old.path(shard.name) for _, shard in places], workers, "shards")
    for (place, _), removal in zip(places, removals, strict=True):
        if removal != Removal():
            result.shards[place] = removal
    files = old.state_files()
    count_rows = functools.partial(thread_rows.count, names=names)
    found = _call(count_rows, [old.path(name) for name in files], workers, "state")
    for name, rows in zip(files, found, strict=True):
        if rows != StateRemoval():
            result.state[name] = rows
    result.excerpts = _rejects(old, names)[1]
    result.samples = texts.clean_samples(_report(old)["samples"], names)[1]
    return result


def rewrite(old: OldCorpus, names: Names, found: Found, staging: str, workers: int) -> Manifest:
    """Publishes the corpus without the comments.

    Args:
        old: The corpus.
        names: What to forget, from `complete_names`.
        found: From `find`.
        staging: Its locked staging folder.
        workers: Processes that write shards.

    Returns:
        The manifest of the new corpus.

    Raises:
        UserError: A file is damaged, or the corpus cannot be replaced. It stays as it was.
    """
    check_replaceable(old.folder, CORPUS, overwrite=True, flag=FLAG)
    if old.read_digests() != old.digests:
        raise UserError(f"{old.folder}: another command changed it meanwhile; run this one again")
    moves: dict[str, publishing.Move] = {}
    digests = dict(old.digests)
    base = Base(old.folder, old.manifest)
    statistics = base.statistics(PairStatistics())

    def add(name: str, staged: StagedFile) -> None:
        moves[name] = publishing.Move(staged["staged"], staged["bytes"])
        digests[name] = staged["sha256"]

    task = functools.partial(_write_shard, old.extra_contexts, names, staging, old.tables)
    paths = [old.path(old.manifest.splits[split][number].name) for split, number in found.shards]
    written = _call(task, paths, workers, "write")
    entries: dict[Place, Shard] = {}
    for place, (shard, table, removed) in zip(found.shards, written, strict=True):
        before = old.manifest.splits[place[0]][place[1]]
        entries[place] = Shard(before.name, shard["examples"], shard["bytes"], shard["sha256"])
        add(before.name, shard)
        if old.tables and table:
            add(old.tables.file_name(*place, len(old.manifest.splits[place[0]])), table)
        shards.subtract(statistics, PairStatistics.from_dict(removed))
    for name in found.state:
        rows = thread_rows.rewrite(old.path(name), names)
        add(name, stage(staging, rows.data, 0))
        shards.subtract(statistics, PairStatistics(thread_sizes=rows.removed))
    manifest = without_pairs(old.manifest, entries, found.shards)
    documents = _documents(old, base, manifest, names, statistics)
    digests |= {name: checksums.sha256(data) for name, data in documents.items()}
    documents[COMPLETED] = checksums.to_text(digests).encode()
    publishing.publish(
        old.folder,
        staging,
        CORPUS,
        overwrite=True,
        moves=moves,
        documents=documents,
        last=COMPLETED,
        links={name: name for name in old.digests.keys() - moves.keys() - documents.keys()},
    )
    return manifest


def _documents(
    old: OldCorpus, base: Base, manifest: Manifest, names: Names, statistics: PairStatistics
) -> dict[str, bytes]:
    """Returns the files of the new corpus that are written as a whole, without `COMPLETED`."""
    values = _report(old)
    samples, _ = texts.clean_samples(values["samples"], names)
    notes = base.with_samples(samples)
    written = {
        MANIFEST: manifest.to_json(),
        **tfds_metadata.documents(manifest, old.text_features),
        _REPORT: report.to_json(manifest, statistics, notes, values["shared_texts"]),
        _PAGE: report.to_html(manifest, statistics, notes, values["shared_texts"]),
    }
    if old.tables:
        written[data_card.NAME] = data_card.data_card(manifest, old.tables)
    documents = {name: text.encode() for name, text in written.items()}
    documents[REJECTS_FILE] = _rejects(old, names)[0]
    if manifest.state:
        documents[forgotten.FILE] = _list(old).add(names.ids, names.authors).to_bytes()
    return documents


def _list(old: OldCorpus) -> forgotten.Forgotten:
    """Returns the list of what was forgotten before."""
    has_list = forgotten.FILE in old.digests
    return forgotten.read_list(old.path(forgotten.FILE)) if has_list else forgotten.new_list()


def _report(old: OldCorpus) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(storage.read_bytes(old.path(_REPORT)))
    return values


def _rejects(old: OldCorpus, names: Names) -> tuple[bytes, int]:
    path = old.path(REJECTS_FILE)
    return texts.clean_rejects(storage.read_bytes(path), names, path)


def _call(
    function: Callable[[str], _Result], paths: Sequence[str], workers: int, what: str
) -> list[_Result]:
    """Returns the result for each file, with the progress on standard error."""
    results = []
    sizes = [storage.size(path) for path in paths]
    total = sum(sizes)
    # Nothing is printed for what takes less than some seconds.
    with tqdm(total=total, desc=what, unit="B", unit_scale=True, mininterval=2.0, delay=5.0) as bar:
        for result, size in zip(pool.call_in_order(function, paths, workers), sizes, strict=True):
            results.append(result)
            bar.update(size)
    return results


def _write_shard(
    extra_contexts: int, names: Names, staging: str, tables: TableFiles | None, path: str
) -> tuple[StagedFile, StagedFile | None, dict[str, dict[str, int]]]:
    """Stages a new shard and its table file; also returns the histograms of what was removed."""
    new = shards.rewrite(path, extra_contexts, names)
    table = stage(staging, tables.encode(new.data), new.examples) if tables else None
    return stage(staging, new.data, new.examples), table, new.removed.to_dict()
