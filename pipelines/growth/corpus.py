"""The finished corpus that a run extends: what it holds, and how it continues in the new one.

The new corpus is a new folder that takes the place of the old one at once. Shards of earlier
generations are hard links in it: their bytes are neither read nor written, and only their
names change, because a shard's name has the number of all shards.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rejoinder import storage
from rejoinder.corpus import checksums
from rejoinder.corpus.manifest import GROWING_FORMAT_VERSION, Manifest, Shard, load_manifest
from rejoinder.corpus.naming import COMPLETED, REJECTS_FILE, SPLITS, shard_name
from rejoinder.corpus.table_files import TableFiles
from rejoinder.pipelines.dumps.notes import ReadNotes, Sample, sample_of_line
from rejoinder.pipelines.growth import forgotten
from rejoinder.pipelines.growth.spec import newest_month
from rejoinder.pipelines.reddit.notes import sample_order
from rejoinder.pipelines.shards.statistics import PairStatistics


@dataclass(frozen=True)
class Base:
    """A corpus that is extended.

    Attributes:
        folder: Its folder.
        manifest: Its manifest.
    """

    folder: str
    manifest: Manifest

    @classmethod
    def open(cls, folder: str) -> "Base":
        """Reads the manifest of a finished corpus."""
        return cls(folder, load_manifest(folder))

    def shards(self, added: int, tables: TableFiles | None) -> "Renamed":
        """Returns the shards of each split in a corpus with `added` further ones."""
        splits: dict[str, list[Shard]] = {}
        links: dict[str, str] = {}
        for split in SPLITS:
            old = self.manifest.splits[split]
            total = len(old) + added
            splits[split] = []
            for index, shard in enumerate(old):
                name = shard_name(split, index, total)
                links[name] = shard.name
                splits[split].append(dataclasses.replace(shard, name=name))
                if tables:
                    was = tables.file_name(split, index, len(old))
                    links[tables.file_name(split, index, total)] = was
        if forgotten.FILE in self.digests():
            links[forgotten.FILE] = forgotten.FILE
        return Renamed(splits, links)

    def counters(self, added: Mapping[str, int]) -> dict[str, int]:
        """Returns the counters with those of a run added."""
        return {
            name: self.manifest.counters.get(name, 0) + added.get(name, 0)
            for name in {*self.manifest.counters, *added}
        }

    def digests(self) -> dict[str, str]:
        """Returns the sha256 of each file by name."""
        completed = storage.read_bytes(storage.join(self.folder, COMPLETED))
        return checksums.from_text(completed.decode())

    def rejects(self) -> bytes:
        """Returns the lines that earlier runs rejected."""
        return storage.read_bytes(storage.join(self.folder, REJECTS_FILE))

    def statistics(self, added: PairStatistics) -> PairStatistics:
        """Returns the histograms of the report with those of a run added."""
        merged = PairStatistics.from_dict(self._report())
        merged.add(added)
        for name in merged.to_dict():
            histogram = getattr(merged, name)
            for value in [value for value, count in histogram.items() if not count]:
                del histogram[value]
        merged.limit_subreddits()
        return merged

    def notes(self, added: ReadNotes) -> ReadNotes:
        """Returns the samples of the report with those of a run added."""
        merged = self.with_samples(self._report()["samples"])
        merged.add(added)
        return merged

    def with_samples(self, samples: Mapping[str, Iterable[Mapping[str, str]]]) -> ReadNotes:
        """Returns the notes of the report with these samples, by counter."""
        merged = ReadNotes()
        for counter, found in samples.items():
            merged.add_samples(counter, _samples(counter, found))
        # The warning of a listed subreddit without comments is about the whole corpus.
        warned = set(" ".join(self._report()["warnings"]).replace(",", "").split())
        for option in ("subreddits", "block_subreddits"):
            merged.matched |= {*self.manifest.options.get(option, ())} - warned
        return merged

    def _report(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(
            storage.read_bytes(storage.join(self.folder, "report.json"))
        )
        return values


@dataclass(frozen=True)
class Renamed:
    """The shards of earlier generations in the new corpus.

    Attributes:
        splits: Their entries in the manifest, by split.
        links: The file in the old corpus, by the name in the new one.
    """

    splits: dict[str, list[Shard]]
    links: dict[str, str]


def _samples(counter: str, found: Iterable[Mapping[str, str]]) -> Iterable[Sample]:
    """Returns samples of a report with their order, which follows from their origin."""
    for sample in found:
        origin, text = sample["origin"], sample["text"]
        if counter.startswith("rejected/"):
            path, _, line = origin.rpartition(" line ")
            yield sample_of_line(path, int(line.replace(",", "")), text)
        else:
            yield Sample(int(sample_order(pl.Series([origin], dtype=pl.String))[0]), origin, text)


@dataclass(frozen=True)
class Grown:
    """What a run of a corpus that can grow publishes.

    Attributes:
        manifest: Of the whole corpus.
        links: The file in the old corpus, by the name in the new one.
    """

    manifest: Manifest
    links: dict[str, str]


def grow(
    added: Manifest,
    base: Base | None,
    keep_months: int,
    notes: ReadNotes,
    tables: TableFiles | None,
    state_files: int,
) -> Grown:
    """Adds a run to the corpus that it extends.

    Args:
        added: Describes what the run adds, with the names of its shards in the whole corpus.
        base: The corpus; None if the run makes a new one.
        keep_months: Months of comments that the state keeps.
        notes: What the run read.
        tables: The files for other programs; None if there are none.
        state_files: Files of the state.
    """
    before = base.manifest.state["newest_month"] if base else 0
    state = {
        "keep_months": keep_months,
        "newest_month": newest_month(sorted(notes.months.items()), before),
        "files": state_files,
    }
    entry = {
        "inputs": [entry["path"] for entry in added.inputs],
        "shards": {split: len(shards) for split, shards in added.splits.items()},
        "pairs": {split: added.examples(split) for split in added.splits},
        "counters": {name: count for name, count in added.counters.items() if count},
        "versions": added.versions,
    }
    growing = dataclasses.replace(
        added, format_version=GROWING_FORMAT_VERSION, generations=[entry], state=state
    )
    if base is None:
        return Grown(growing, {})
    renamed = base.shards(len(added.splits[SPLITS[0]]), tables)
    counters = base.counters(added.counters)
    whole = dataclasses.replace(
        growing,
        splits={split: renamed.splits[split] + added.splits[split] for split in SPLITS},
        inputs=sorted([*base.manifest.inputs, *added.inputs], key=lambda item: item["path"]),
        counters=dict(sorted(counters.items())),
        generations=[*base.manifest.generations, entry],
    )
    return Grown(whole, renamed.links)
