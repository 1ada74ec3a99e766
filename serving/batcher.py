"""Dynamic batching by padded tokens across concurrent requests.

Work is never delayed to wait for company: a free worker takes what is there, and
while all workers are busy the queue fills, so batches grow exactly when the load
does. A batch holds rows of one bucket width (padding is bounded by the bucket),
oldest width first, up to a budget of padded tokens. The expected wait, from the
measured seconds per token, decides when to refuse work instead of queueing it.
"""

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from serving.limits import Limits
from serving.loaded import LoadedVersion
from serving.metrics import Metrics
from serving.status import Code, ServingError, overloaded

# Weight of the newest batch in the running average of seconds per token.
_RATE_WEIGHT = 0.1


@dataclass(eq=False)
class _Request:
    """Rows of one call that are still out, and where their embeddings go."""

    embeddings: np.ndarray
    left: int
    done: asyncio.Future


@dataclass(eq=False, slots=True)
class _Row:
    """One row of ids in the queue."""

    order: int
    ids: np.ndarray
    request: _Request
    index: int


class Batcher:
    """Queues rows of token ids and runs them in shared batches. One event loop only."""

    def __init__(self, limits: Limits, metrics: Metrics, *, workers: int):
        """Makes a batcher with `workers` threads, each running one batch at a time."""
        self._limits = limits
        self._metrics = metrics
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="encode")
        self._queues: dict[tuple[LoadedVersion, int], deque[_Row]] = {}
        self._order = itertools.count()
        self._running = 0
        self._queued_tokens = 0
        self._seconds_per_token = 0.0

    def expected_wait(self) -> float:
        """Returns the seconds that a row queued now would wait for a worker."""
        return self._queued_tokens * self._seconds_per_token / self._workers

    def admit(self) -> None:
        """Raises ServingError (429 with Retry-After) if the queue is too long to join."""
        wait = self.expected_wait()
        full = self._queued_tokens >= self._limits.max_queue_tokens
        if full or wait > self._limits.max_queue_seconds:
            self._metrics.rejected.labels("queue").inc()
            raise overloaded(
                f"server is overloaded: the queue is {wait:.1f} seconds long; retry later",
                retry_after=math.ceil(wait),
            )

    async def encode(self, version: LoadedVersion, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Embeds rows of ids: n arrays → float32 [n, d].

        If the caller is cancelled, its rows still in the queue are dropped.

        Raises:
            ServingError: the queue is full, or the model failed on one of these rows.
        """
        self.admit()
        request = _Request(
            np.empty([len(rows), version.manifest.dimension], np.float32),
            len(rows),
            asyncio.get_running_loop().create_future(),
        )
        for index, ids in enumerate(rows):
            key = (version, version.width(len(ids)))
            queue = self._queues.setdefault(key, deque())
            queue.append(_Row(next(self._order), ids, request, index))
            self._queued_tokens += key[1]
        if not rows:
            return request.embeddings
        self._start_batches()
        await request.done
        return request.embeddings

    def close(self) -> None:
        """Waits for running batches and ends the threads."""
        self._pool.shutdown()

    def _start_batches(self) -> None:
        while self._running < self._workers and (batch := self._next_batch()):
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._run(*batch))
            task.add_done_callback(self._batch_done)

    def _batch_done(self, task: asyncio.Task) -> None:
        self._running -= 1
        self._metrics.queue_tokens.set(self._queued_tokens)
        if not task.cancelled():
            self._start_batches()

    def _next_batch(self) -> tuple[LoadedVersion, int, list[_Row]] | None:
        """Takes rows of the width whose first row has waited longest."""
        while self._queues:
            key = min(self._queues, key=lambda key: self._queues[key][0].order)
            queue, (version, width) = self._queues[key], key
            room = max(1, self._limits.max_batch_tokens // width)
            rows: list[_Row] = []
            while queue and len(rows) < room:
                row = queue.popleft()
                self._queued_tokens -= width
                if not row.request.done.done():  # its client is still there
                    rows.append(row)
            if not queue:
                del self._queues[key]
            if rows:
                return version, width, rows
        return None

    async def _run(self, version: LoadedVersion, width: int, rows: list[_Row]) -> None:
        loop = asyncio.get_running_loop()
        start = time.monotonic()
        try:
            embeddings = await loop.run_in_executor(
                self._pool, version.encode, [row.ids for row in rows], width
            )
        except Exception:
            self._metrics.failed_batches.inc()
            await self._run_alone(version, width, rows)
            return
        tokens = width * len(rows)
        self._observe(tokens, time.monotonic() - start)
        self._metrics.batch(rows=len(rows), tokens=sum(len(row.ids) for row in rows), padded=tokens)
        for row, embedding in zip(rows, embeddings, strict=True):
            _deliver(row, embedding)

    async def _run_alone(self, version: LoadedVersion, width: int, rows: list[_Row]) -> None:
        """Runs the rows of a failed batch one by one, so that only the culprit fails."""
        loop = asyncio.get_running_loop()
        for row in rows:
            try:
                embedding = await loop.run_in_executor(self._pool, version.encode, [row.ids], width)
            except Exception as error:
                if not row.request.done.done():
                    failure = ServingError(Code.INTERNAL, "the model failed on this input")
                    failure.__cause__ = error
                    row.request.done.set_exception(failure)
            else:
                _deliver(row, embedding[0])

    def _observe(self, tokens: int, seconds: float) -> None:
        newest = seconds / tokens
        weight = _RATE_WEIGHT if self._seconds_per_token else 1.0
        self._seconds_per_token += weight * (newest - self._seconds_per_token)


def _deliver(row: _Row, embedding: np.ndarray) -> None:
    request = row.request
    request.embeddings[row.index] = embedding
    request.left -= 1
    if not request.left and not request.done.done():
        request.done.set_result(None)
