"""Dynamic batching by tokens across concurrent requests.

A batch never waits for more requests: an idle worker takes what is queued, and while
all workers are busy the queue grows, so batches grow exactly when the load does. A
batch takes one text of each waiting request in turn, up to a budget of tokens, so a
request of one text does not wait for a request of a thousand; texts of all lengths
share a batch, packed side by side.

The expected wait, computed from the measured seconds per token, decides whether a new
request is refused or queued. If the machine becomes slower afterwards, a request may
wait longer than that; it is refused when its turn comes. So no response takes longer
than the allowed wait and one batch.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.errors import Code, ServingError, overloaded
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics

# Weight of the newest batch in the running average of seconds per token.
_RATE_WEIGHT = 0.25


@dataclass(eq=False)
class _Request:
    """One call of `Batcher.encode`.

    Attributes:
        rows: n int32 arrays of token ids.
        embeddings: float32 [n, d], filled by the batches.
        done: Resolved when all rows are embedded, or with an error.
        arrived: Monotonic time of the call in seconds.
        taken: Rows that batches have taken.
        delivered: Rows whose embeddings have been written.
    """

    rows: Sequence[NDArray[np.int32]]
    embeddings: NDArray[np.float32]
    done: asyncio.Future[None]
    arrived: float
    taken: int = 0
    delivered: int = 0


@dataclass(eq=False, slots=True)
class _Row:
    """One row of a request in a batch."""

    request: _Request
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
        # Requests of each version; the version and the request served last are at the end.
        self._queues: dict[ModelVersion, deque[_Request]] = {}
        self._running = 0
        self._queued_tokens = 0
        self._seconds_per_token = 0.0

    def expected_wait(self) -> float:
        """Returns the seconds that a row queued now is expected to wait for a worker."""
        return self._queued_tokens * self._seconds_per_token / self._workers

    def admit(self) -> None:
        """Checks that the queue has room for another request.

        Raises:
            ServingError: 429 with Retry-After, because the queue is full or too slow.
        """
        wait = self.expected_wait()
        full = self._queued_tokens >= self._limits.max_queue_tokens
        if full or wait > self._limits.max_queue_seconds:
            raise self._refusal(wait)

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
        self.admit()
        embeddings = np.empty([len(rows), version.manifest.dimension], np.float32)
        if not rows:
            return embeddings
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        request = _Request(rows, embeddings, done, time.monotonic())
        self._queues.setdefault(version, deque()).append(request)
        self._queued_tokens += sum(map(_weight, rows))
        self._start_batches()
        await request.done
        return embeddings

    def close(self) -> None:
        """Waits for running batches and ends the threads."""
        self._pool.shutdown()

    def _start_batches(self) -> None:
        while self._running < self._workers and (batch := self._next_batch()):
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._run(*batch))
            task.add_done_callback(self._batch_done)

    def _batch_done(self, task: asyncio.Task[None]) -> None:
        self._running -= 1
        self._metrics.queue_tokens.set(self._queued_tokens)
        if not task.cancelled():
            self._start_batches()

    def _next_batch(self) -> tuple[ModelVersion, list[_Row]] | None:
        """Returns a batch for the version that has waited longest, None if nothing is queued."""
        while self._queues:
            version = next(iter(self._queues))
            queue = self._queues.pop(version)
            rows = self._take(queue)
            if queue:
                self._queues[version] = queue
            if rows:
                return version, rows
        return None

    def _take(self, queue: deque[_Request]) -> list[_Row]:
        """Takes one row of each request in turn, up to the tokens of a batch."""
        room = self._limits.max_batch_tokens
        oldest = time.monotonic() - self._limits.max_queue_seconds
        rows: list[_Row] = []
        while queue:
            request = queue[0]
            if request.arrived < oldest and not request.taken and not request.done.done():
                request.done.set_exception(self._refusal(self.expected_wait()))
            if request.done.done():  # refused, cancelled, or another row of it failed
                self._queued_tokens -= sum(map(_weight, request.rows[request.taken :]))
                queue.popleft()
                continue
            weight = _weight(request.rows[request.taken])
            if rows and weight > room:
                break
            room -= weight
            self._queued_tokens -= weight
            rows.append(_Row(request, request.taken))
            request.taken += 1
            queue.popleft()
            if request.taken < len(request.rows):
                queue.append(request)
        return rows

    def _refusal(self, wait: float) -> ServingError:
        self._metrics.rejected.labels("queue").inc()
        return overloaded(
            f"server is overloaded: the queue is {wait:.1f} seconds long; retry later",
            retry_after=math.ceil(wait),
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
        self._observe(sum(_weight(row.ids) for row in rows), time.monotonic() - start)
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

    def _observe(self, tokens: int, seconds: float) -> None:
        """Updates the running average of seconds per token."""
        newest = seconds / tokens
        weight = _RATE_WEIGHT if self._seconds_per_token else 1.0
        self._seconds_per_token += weight * (newest - self._seconds_per_token)


def _weight(ids: NDArray[np.int32]) -> int:
    """Returns the tokens that a row counts as; an empty row counts as one."""
    return max(1, len(ids))


def _deliver(row: _Row, embedding: NDArray[np.float32]) -> None:
    request = row.request
    request.embeddings[row.index] = embedding
    request.delivered += 1
    if request.delivered == len(request.rows) and not request.done.done():
        request.done.set_result(None)
