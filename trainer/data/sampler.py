"""The batch of step s, for any s, as a function of the seed.

A batch has `datasets_per_batch` equal parts. Each part comes from the data set
that `mixture` draws for it and continues that data set's `order` where its
previous draw ended; both are arithmetic, so a restart at any step reads one
window of shards and no more.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from rejoinder.corpus.manifest import Shard
from rejoinder.errors import UserError
from rejoinder.trainer.data.mixture import Mixture
from rejoinder.trainer.data.order import Order, Window
from rejoinder.trainer.data.records import Pairs, read_shard, with_log_frequency


@dataclass(frozen=True)
class Source:
    """One data set as one host sees it: its folder and the host's share of the shards."""

    name: str
    folder: str
    shards: tuple[Shard, ...]


def host_share(source: Source, host: int, hosts: int) -> Source:
    """Returns the source with every `hosts`-th shard, beginning with `host`.

    Raises:
        UserError: some host would have no shard.
    """
    shards = tuple(shard for shard in source.shards if shard.examples)
    if len(shards) < hosts:
        raise UserError(
            f"{source.folder}: has {len(shards)} shards for {hosts} hosts; every host reads "
            f"shards of its own: make the corpus again with --num-shards of at least {hosts}"
        )
    return Source(source.name, source.folder, shards[host::hosts])


@dataclass(frozen=True)
class Batch:
    """One host's part of a batch.

    Attributes:
        pairs: The pairs.
        source: Index of the data set of each pair, int32 [n].
    """

    pairs: Pairs
    source: np.ndarray


class Sampler:
    """Reads batches by step.

    Args:
        sources: This host's share of each data set.
        mixture: Which data set each part of a batch comes from.
        batch_size: Pairs of one batch on this host.
        datasets_per_batch: Parts of a batch that are drawn on their own; 1 gives
            batches of one data set, `batch_size` fully mixed ones.
        window: Pairs that are shuffled together (`order`).
        seed: Seed of everything.
        shuffle: False keeps the corpus' order.
        threads: Whether to read the thread of each pair.
        log_frequency: Whether to count how often each text occurs in its window.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        mixture: Mixture,
        *,
        batch_size: int,
        datasets_per_batch: int = 1,
        window: int = 1_000_000,
        seed: int = 0,
        shuffle: bool = True,
        threads: bool = False,
        log_frequency: bool = False,
    ):
        if batch_size % datasets_per_batch:
            raise UserError(
                f"train_data.datasets_per_batch: must divide the batch of one host "
                f"({batch_size}), got {datasets_per_batch}"
            )
        self._mixture = mixture
        self._parts = datasets_per_batch
        self._part_size = batch_size // datasets_per_batch
        self._streams = [
            _Stream(
                source,
                Order(
                    tuple(shard.examples for shard in source.shards),
                    window,
                    (seed, source.name),
                    shuffle,
                ),
                threads,
                log_frequency,
            )
            for source in sources
        ]

    def batch(self, step: int) -> Batch:
        """Returns the batch of step `step` ≥ 0.

        Raises:
            UserError: a shard that the batch needs is missing or damaged.
        """
        drawn, ordinals = self._mixture.draws(step * self._parts, self._parts)
        parts, sources = [], []
        # A data set drawn several times is read in one piece: its draws are consecutive.
        for source in np.unique(drawn):
            mine = ordinals[drawn == source]
            count = len(mine) * self._part_size
            parts.append(self._streams[source].read(int(mine[0]) * self._part_size, count))
            sources.append(np.full(count, source, np.int32))
        return Batch(Pairs.concatenate(parts), np.concatenate(sources))


class _Stream:
    """One data set's endless order, with the windows in use held in memory."""

    def __init__(self, source: Source, order: Order, threads: bool, log_frequency: bool):
        self._source = source
        self._order = order
        self._threads = threads
        self._log_frequency = log_frequency
        self._shards: dict[int, Future[Pairs]] = {}
        self._windows: dict[Window, tuple[Pairs, np.ndarray]] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="shards")

    def read(self, position: int, count: int) -> Pairs:
        """Returns the pairs at positions position … position + count."""
        slices = self._order.slices(position, count)
        needed = dict.fromkeys(window for window, _ in slices)
        self._windows = {w: held for w, held in self._windows.items() if w in needed}
        for window in needed:
            if window not in self._windows:
                self._windows[window] = self._load(window)
        return Pairs.concatenate(
            [self._windows[w][0].take(self._windows[w][1][rows]) for w, rows in slices]
        )

    def _load(self, window: Window) -> tuple[Pairs, np.ndarray]:
        following = self._after(window)
        keep = {*window.shards, *following.shards}
        self._shards = {shard: held for shard, held in self._shards.items() if shard in keep}
        for shard in (*window.shards, *following.shards):
            if shard not in self._shards:  # the following window is read while this one is used
                self._shards[shard] = self._pool.submit(
                    read_shard,
                    self._source.folder,
                    self._source.shards[shard],
                    threads=self._threads,
                )
        pairs = Pairs.concatenate([self._shards[shard].result() for shard in window.shards])
        if self._log_frequency:
            pairs = with_log_frequency(pairs)
        return pairs, self._order.rows(window)

    def _after(self, window: Window) -> Window:
        windows = self._order.windows(window.epoch)
        if window.index + 1 < len(windows):
            return windows[window.index + 1]
        return self._order.windows(window.epoch + 1)[0]
