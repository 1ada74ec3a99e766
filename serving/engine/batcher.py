"""Dynamic batching by tokens across concurrent requests.

A batch never waits for more requests: an idle worker takes what is queued, and while
all workers are busy the queue grows, so batches grow exactly when the load does. A
batch takes one text of each waiting client in turn, up to a budget of tokens, so a
request of one text does not wait for a request of a thousand; texts of all lengths
share a batch, packed side by side.

The expected wait of a new request, computed from what runs before it and from the
measured seconds of batches, decides whether it is refused or queued. If the machine
becomes slower afterwards, a request may wait longer than that; it is refused when its
turn comes. So no response takes longer than the allowed wait and one batch.
"""

import asyncio
import math
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.serving.engine.batch_cost import BatchCost
from rejoinder.serving.engine.fair_queue import FairQueue, QueuedRequest, row_tokens
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.errors import Code, ServingError, overloaded
from rejoinder.serving.keys import current_client
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.request_record import note


@dataclass(eq=False, slots=True)
class _Row:
    """One row of a request in a batch."""

    request: QueuedRequest
    index: int

    @property
    def ids(self) -> NDArray[np.int32]:
        return self.request.rows[self.index]


class Batcher:
    """Queues rows of token ids and runs them in shared batches. Use it from one event loop only."""

    def __init__(self, limits: Limits, metrics: Metrics, *, workers: int):
        """Creates a batcher.

        Args:
            limits: Bounds of a batch and of the queue.
            metrics: Counts batches and refused requests.
            workers: Threads, each of which runs one batch at a time.
        """
        self._limits = limits
        self._metrics = metrics
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="encode")
        # The version that was served last is at the end.
        self._queues: dict[ModelVersion, FairQueue] = {}
        self._costs: weakref.WeakKeyDictionary[ModelVersion, BatchCost]
        self._costs = weakref.WeakKeyDictionary()
        self._running = 0

    def expected_wait(self, version: ModelVersion, count: int) -> float:
        """Returns the seconds that a new request is expected to wait for others.

        Args:
            version: The model version.
            count: Rows of the request.
        """
        queue = self._queues.get(version)
        tokens = queue.tokens_before(current_client(), count) if queue else 0.0
        seconds = self._cost(version).seconds(tokens)
        # Versions take turns: each of the others runs a batch before each batch of this one.
        turns = (1 + tokens // self._limits.max_batch_tokens) * self._limits.max_batch_tokens
        for other, requests in self._queues.items():
            if other is not version:
                waiting = sum(request.tokens_of_next(request.waiting) for request in requests)
                seconds += self._cost(other).seconds(min(waiting, turns))
        return seconds / self._workers

    def admit(self, version: ModelVersion, count: int) -> None:
        """Checks that there is room for another request.

        Args:
            version: The model version.
            count: Rows of the request.

        Raises:
            ServingError: 429 with Retry-After, because the queue is full or the request
                would wait too long.
        """
        wait = self.expected_wait(version, count)
        if wait > self._limits.max_queue_seconds:
            raise self._refusal(wait, wait - self._limits.max_queue_seconds)
        excess = self._queued_tokens() - self._limits.max_queue_tokens
        if excess >= 0:
            raise self._refusal(wait, self._cost(version).seconds(excess + 1) / self._workers)

    async def encode(
        self, version: ModelVersion, rows: Sequence[NDArray[np.int32]]
    ) -> NDArray[np.float32]:
        """Embeds rows of token ids.

        If the caller is cancelled, its rows that are still queued are dropped.

        Args:
            version: The model version.
            rows: n ≥ 0 int32 arrays.

        Returns:
            float32 [n, d].

        Raises:
            ServingError: The queue is full, or the model failed on one of these rows.
        """
        self.admit(version, len(rows))
        embeddings = np.empty([len(rows), version.manifest.dimension], np.float32)
        if not rows:
            return embeddings
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        request = QueuedRequest(current_client(), rows, embeddings, done, time.monotonic())
        self._queues.setdefault(version, FairQueue()).add(request)
        self._start_batches()
        await done
        now = time.monotonic()
        self._metrics.queue_seconds.observe(request.started - request.arrived)
        note("queue", request.arrived, request.started)
        note("batch", request.started, now, rows=len(rows), tokens=sum(map(len, rows)))
        return embeddings

    def close(self) -> None:
        """Waits for running batches and ends the threads."""
        self._pool.shutdown()

    def _cost(self, version: ModelVersion) -> BatchCost:
        cost = self._costs.get(version)
        if cost is None:
            cost = BatchCost(self._limits.max_batch_tokens, version.measured)
            self._costs[version] = cost
        return cost

    def _queued_tokens(self) -> int:
        return sum(
            request.tokens_of_next(request.waiting)
            for queue in self._queues.values()
            for request in queue
        )

    def _start_batches(self) -> None:
        while self._running < self._workers and (batch := self._next_batch()):
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._run(*batch))
            task.add_done_callback(self._batch_done)

    def _batch_done(self, task: asyncio.Task[None]) -> None:
        self._running -= 1
        self._metrics.queue_tokens.set(self._queued_tokens())
        if not task.cancelled():
            self._start_batches()

    def _next_batch(self) -> tuple[ModelVersion, list[_Row]] | None:
        """Returns a batch for the version that has waited longest, None if nothing is queued."""
        while self._queues:
            version = next(iter(self._queues))
            queue = self._queues[version]
            rows = self._take(version, queue)
            del self._queues[version]
            if queue:
                self._queues[version] = queue
            if rows:
                return version, rows
        return None

    def _take(self, version: ModelVersion, queue: FairQueue) -> list[_Row]:
        """Takes one row of each client in turn, up to the tokens of a batch."""
        room = self._limits.max_batch_tokens
        oldest = time.monotonic() - self._limits.max_queue_seconds
        rows: list[_Row] = []
        while queue:
            request = queue.first()
            if request.arrived < oldest and not request.taken and request.waiting:
                request.done.set_exception(
                    self._refusal(
                        time.monotonic() - request.arrived,
                        self.expected_wait(version, len(request.rows))
                        - self._limits.max_queue_seconds,
                    )
                )
            if not request.waiting:  # refused, cancelled, or another row of it failed
                queue.drop_first(keep_turn=True)
                continue
            tokens = row_tokens(request.rows[request.taken])
            if rows and tokens > room:
                break
            room -= tokens
            rows.append(_Row(request, request.taken))
            request.started = request.started or time.monotonic()
            request.taken += 1
            if request.waiting:
                queue.pass_turn()
            else:
                queue.drop_first()
        return rows

    def _refusal(self, wait: float, retry_after: float) -> ServingError:
        """Returns the error for a request that would wait, or has waited, too long.

        Args:
            wait: Seconds of the wait.
            retry_after: Seconds after which such a request is expected to be accepted.
        """
        self._metrics.rejected.labels("queue").inc()
        return overloaded(
            f"server is overloaded: the wait is {wait:.1f} seconds; retry later",
            retry_after=math.ceil(retry_after),
        )

    async def _run(self, version: ModelVersion, rows: list[_Row]) -> None:
        loop = asyncio.get_running_loop()
        start = time.monotonic()
        try:
            embeddings, padded = await loop.run_in_executor(
                self._pool, version.encode, [row.ids for row in rows]
            )
        except Exception:
            self._metrics.failed_batches.inc()
            await self._run_alone(version, rows)
            return
        seconds = time.monotonic() - start
        self._cost(version).observe(sum(row_tokens(row.ids) for row in rows), seconds)
        self._metrics.batch_seconds.observe(seconds)
        tokens = sum(len(row.ids) for row in rows)
        self._metrics.batch(rows=len(rows), tokens=tokens, padded=padded)
        for row, embedding in zip(rows, embeddings, strict=True):
            _deliver(row, embedding)

    async def _run_alone(self, version: ModelVersion, rows: list[_Row]) -> None:
        """Runs the rows of a failed batch one by one, so that only the faulty request fails."""
        loop = asyncio.get_running_loop()
        for row in rows:
            try:
                embeddings, _ = await loop.run_in_executor(self._pool, version.encode, [row.ids])
            except Exception as error:
                if not row.request.done.done():
                    failure = ServingError(Code.INTERNAL, "the model failed on this input")
                    failure.__cause__ = error
                    row.request.done.set_exception(failure)
            else:
                _deliver(row, embeddings[0])


def _deliver(row: _Row, embedding: NDArray[np.float32]) -> None:
    request = row.request
    request.embeddings[row.index] = embedding
    request.delivered += 1
    if request.delivered == len(request.rows) and not request.done.done():
        request.done.set_result(None)
