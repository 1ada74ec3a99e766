"""The batch of step s, for any s, as a function of the seed.

A batch has `datasets_per_batch` equal parts. Each part comes from the data set
that `mixture` draws for it and continues that data set's `order` where its
previous draw ended. Both are computed from the step number, so a restart at any
step reads only one window of shards.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.corpus.manifest import Shard
from rejoinder.errors import UserError
from rejoinder.trainer.data.mixture import Mixture
from rejoinder.trainer.data.order import Order, Window
from rejoinder.trainer.data.records import (
    NO_PARTS,
    PairParts,
    Pairs,
    read_shard,
    with_log_frequency,
)


@dataclass(frozen=True)
class DataSet:
    """A corpus split: name, corpus folder and shards."""

    name: str
    folder: str
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Batch:
    """A batch of all hosts: every host draws the same one.

    Attributes:
        pairs: The pairs.
        data_set: Index of the data set of each pair, int32 [n].
    """

    pairs: Pairs
    data_set: NDArray[np.int32]

    @property
    def drawn(self) -> dict[int, int]:
        """Pairs of each data set that is in the batch, by index."""
        found, counts = np.unique(self.data_set, return_counts=True)
        return dict(zip(found.tolist(), counts.tolist(), strict=True))


class Sampler:
    """Reads batches by step.

    Args:
        data_sets: The data sets.
        mixture: The data set of each part of a batch.
        batch_size: Pairs of one batch over all hosts.
        datasets_per_batch: Parts of a batch that are drawn independently; 1 gives
            batches of one data set, `batch_size` fully mixed ones.
        window: Pairs that are shuffled together (`order`).
        seed: Seed of all shuffling.
        shuffle: False keeps the order of the corpus.
        log_frequency: Whether to count how often each text occurs in its window.
        parts: What to read of each pair beside its context and its response.

    Raises:
        UserError: `datasets_per_batch` does not divide `batch_size`.
    """

    def __init__(
        self,
        data_sets: Sequence[DataSet],
        mixture: Mixture,
        *,
        batch_size: int,
        datasets_per_batch: int = 1,
        window: int = 1_000_000,
        seed: int = 0,
        shuffle: bool = True,
        log_frequency: bool = False,
        parts: PairParts = NO_PARTS,
    ):
        if batch_size % datasets_per_batch:
            raise UserError(
                f"task.train_data.datasets_per_batch: must divide the batch of {batch_size} "
                f"pairs, got {datasets_per_batch}"
            )
        self._mixture = mixture
        self._parts = datasets_per_batch
        self._part_size = batch_size // datasets_per_batch
        self._streams = []
        for data_set in data_sets:
            shards = tuple(shard for shard in data_set.shards if shard.examples)
            sizes = tuple(shard.examples for shard in shards)
            order = Order(sizes, window, (seed, data_set.name), shuffle)
            self._streams.append(_Stream(data_set.folder, shards, order, log_frequency, parts))

    def batch(self, step: int) -> Batch:
        """Returns the batch of step `step` ≥ 0.

        Raises:
            UserError: A shard that the batch needs is missing or damaged.
        """
        drawn, ordinals = self._mixture.draws(step * self._parts, self._parts)
        parts, indices = [], []
        # The draws of one data set in a batch are consecutive, so they are read at once.
        for index in np.unique(drawn):
            own = ordinals[drawn == index]
            count = len(own) * self._part_size
            parts.append(self._streams[index].read(int(own[0]) * self._part_size, count))
            indices.append(np.full(count, index, np.int32))
        return Batch(Pairs.concatenate(parts), np.concatenate(indices))


class _Stream:
    """One data set's endless order, with the windows in use kept in memory."""

    def __init__(
        self,
        folder: str,
        shards: Sequence[Shard],
        order: Order,
        log_frequency: bool,
        parts: PairParts,
    ):
        self._folder = folder
        self._files = shards
        self._order = order
        self._log_frequency = log_frequency
        self._parts = parts
        self._shards: dict[int, Future[Pairs]] = {}
        self._windows: dict[Window, tuple[Pairs, NDArray[np.int64]]] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="shards")

    def read(self, position: int, count: int) -> Pairs:
        """Returns `count` pairs, starting at `position`."""
        slices = self._order.slices(position, count)
        needed = dict.fromkeys(window for window, _ in slices)
        self._windows = {w: held for w, held in self._windows.items() if w in needed}
        for window in needed:
            if window not in self._windows:
                self._windows[window] = self._load(window)
        return Pairs.concatenate(
            [self._windows[w][0].take(self._windows[w][1][rows]) for w, rows in slices]
        )

    def _load(self, window: Window) -> tuple[Pairs, NDArray[np.int64]]:
        following = self._after(window)
        keep = {*window.shards, *following.shards}
        self._shards = {shard: held for shard, held in self._shards.items() if shard in keep}
        for shard in (*window.shards, *following.shards):
            if shard not in self._shards:  # read the next window in advance
                self._shards[shard] = self._pool.submit(
                    read_shard, self._folder, self._files[shard], self._parts
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
