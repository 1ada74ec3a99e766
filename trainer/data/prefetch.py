"""Makes batches beside the training step and hands them to the replicas."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rejoinder.trainer.data.layout import Arranged


@dataclass(frozen=True)
class Fed:
    """A batch on its devices.

    Attributes:
        inputs: What `strategy.run` takes: a dict of per-replica tensors.
        arranged: The batch as the host made it, for its counts.
    """

    inputs: Any
    arranged: Arranged


class Feed:
    """Batches first, first + 1, … made by a thread of their own.

    A distributed `tf.data` iterator can neither be saved nor begin anywhere;
    this one begins at any step, and works on remote TPU hosts too, because it
    hands over tensors and not a Python function.

    Args:
        make: Returns the batch of a step.
        strategy: Where the batches go.
        first: First step.
        last: Step to end before; None never ends.
        prefetch: Batches made ahead.
    """

    def __init__(
        self,
        make: Callable[[int], Arranged],
        strategy,
        *,
        first: int = 0,
        last: int | None = None,
        prefetch: int = 4,
    ):
        self._make = make
        self._strategy = strategy
        self._queue: queue.Queue[Arranged | BaseException | None] = queue.Queue(max(prefetch, 1))
        self._stop = threading.Event()
        self.next_step = first
        self._thread = threading.Thread(target=self._run, args=(first, last), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Fed]:
        return self

    def __next__(self) -> Fed:
        item = self._queue.get()
        if item is None:
            self._queue.put(None)
            raise StopIteration
        if isinstance(item, BaseException):
            raise item
        self.next_step += 1
        return Fed(self._distribute(item), item)

    def close(self) -> None:
        """Ends the thread."""
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
        except BaseException as error:  # the consumer raises it, in its own thread
            self._put(error)

    def _put(self, item: Arranged | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _distribute(self, arranged: Arranged) -> Any:
        import tensorflow as tf

        replicas = len(arranged.replicas)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: {
                name: tf.convert_to_tensor(array)
                for name, array in arranged.replicas[
                    context.replica_id_in_sync_group % replicas
                ].items()
            }
        )
