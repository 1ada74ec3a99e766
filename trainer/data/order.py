"""The order of one data set's examples, epoch after epoch.

An epoch reads the shards in an order shuffled by (seed, epoch), one window of
consecutive shards at a time, and shuffles the examples inside the window. The window
bounds the memory, every epoch contains every example exactly once, and any position
is computed without reading earlier examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rejoinder.trainer.data.seeds import permutation


@dataclass(frozen=True)
class Window:
    """Shards that are shuffled together.

    Attributes:
        shards: Indices of the shards, ascending.
        start: Examples of the epoch before this window.
        size: Examples in the window.
        epoch: Index of the epoch.
        index: Index of the window in the epoch.
    """

    shards: tuple[int, ...]
    start: int
    size: int
    epoch: int
    index: int


@dataclass(frozen=True)
class Order:
    """The endless order of one data set's examples.

    Attributes:
        sizes: Examples of each shard.
        window: Minimum examples of a window; whole shards are added until it holds them.
        name: Name of the random stream, e.g. (seed, data set).
        shuffle: False keeps the order of the corpus.
    """

    sizes: tuple[int, ...]
    window: int
    name: tuple[object, ...]
    shuffle: bool = True

    @property
    def examples(self) -> int:
        """Examples of one epoch."""
        return sum(self.sizes)

    def windows(self, epoch: int) -> Sequence[Window]:
        """Returns the windows of an epoch, in order."""
        return _windows(self, epoch)

    def slices(self, position: int, count: int) -> list[tuple[Window, slice]]:
        """Returns the locations of the examples from `position` to `position + count`.

        Positions continue through the epochs. Each element is a window and a slice
        of its `rows`.
        """
        found = []
        while count:
            epoch, offset = divmod(position, self.examples)
            window = next(w for w in self.windows(epoch) if offset < w.start + w.size)
            first = offset - window.start
            last = min(first + count, window.size)
            found.append((window, slice(first, last)))
            position += last - first
            count -= last - first
        return found

    def rows(self, window: Window) -> NDArray[np.int64]:
        """Returns the order inside the window: int64 indices into its concatenated shards."""
        if not self.shuffle:
            return np.arange(window.size)
        return permutation(window.size, *self.name, "examples", window.epoch, window.index)


@lru_cache(maxsize=256)
def _windows(order: Order, epoch: int) -> tuple[Window, ...]:
    if order.shuffle:
        shards = permutation(len(order.sizes), *order.name, "shards", epoch)
    else:
        shards = np.arange(len(order.sizes))
    windows: list[Window] = []
    members: list[int] = []
    start = size = 0
    for position, shard in enumerate(shards):
        members.append(int(shard))
        size += order.sizes[shard]
        if size >= order.window or position == len(shards) - 1:
            if size:
                windows.append(Window(tuple(sorted(members)), start, size, epoch, len(windows)))
            members, start, size = [], start + size, 0
    return tuple(windows)
