"""Makes batches ahead of the training step and distributes them to the replicas."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from rejoinder.trainer.data.layout import HostBatch


@dataclass(frozen=True)
class PrefetchedBatch:
    """A batch on its devices.

    Attributes:
        inputs: Argument of `strategy.run`: a dict of per-replica tensors.
        host_batch: The same batch on the host, with its token counts.
    """

    inputs: Any
    host_batch: HostBatch


class Prefetcher:
    """An iterator over the batches of steps first, first + 1, … that one thread makes.

    A distributed `tf.data` iterator can neither be saved nor start at any step. This
    one starts at any step, and it also works with remote TPU hosts, because it sends
    tensors and not a Python function.

    Args:
        make: Function from a step to its batch.
        strategy: Strategy whose replicas receive the batches.
        first: First step.
        last: Step before which to stop; None means never.
        prefetch: Maximum batches that wait in the queue.
    """

    def __init__(
        self,
        make: Callable[[int], HostBatch],
        strategy: tf.distribute.Strategy,
        *,
        first: int = 0,
        last: int | None = None,
        prefetch: int = 4,
    ):
        self._make = make
        self._strategy = strategy
        self._queue: queue.Queue[HostBatch | BaseException | None] = queue.Queue(max(prefetch, 1))
        self._stop = threading.Event()
        self.next_step = first
        self._thread = threading.Thread(target=self._run, args=(first, last), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[PrefetchedBatch]:
        return self

    def __next__(self) -> PrefetchedBatch:
        item = self._queue.get()
        if item is None:
            self._queue.put(None)
            raise StopIteration
        if isinstance(item, BaseException):
            raise item
        self.next_step += 1
        return PrefetchedBatch(self._distribute(item), item)

    def close(self) -> None:
        """Stops the thread."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def _run(self, first: int, last: int | None) -> None:
        step = first
        try:
            while not self._stop.is_set() and (last is None or step < last):
                self._put(self._make(step))
                step += 1
            self._put(None)
        except BaseException as error:  # raised again in the consumer's thread
            self._put(error)

    def _put(self, item: HostBatch | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _distribute(self, batch: HostBatch) -> Any:
        replicas = len(batch.replicas)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: {
                name: tf.convert_to_tensor(array)
                for name, array in batch.replicas[
                    context.replica_id_in_sync_group % replicas
                ].items()
            }
        )
