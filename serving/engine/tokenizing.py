"""Tokenizes the texts of concurrent requests together.

One call of the graph costs about as much as tokenizing a hundred comments, so all
texts that arrive during one call share the next, up to a number of bytes: the graph takes
many times the memory of its texts.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.errors import Code, ServingError
from rejoinder.serving.request_record import note

# Bytes of the texts of several requests in one call; a larger part of one has a call of its own.
_CALL_BYTES = 1 << 20
# Bytes of the texts of one request in one call, so that others do not wait for all of a bulk.
_PART_BYTES = 1 << 16


class Tokens(NamedTuple):
    """Tokens of n texts.

    Attributes:
        rows: n int32 arrays of token ids.
        truncated: bool [n], whether the text was longer than the model allows.
    """

    rows: list[NDArray[np.int32]]
    truncated: NDArray[np.bool_]


class _Waiting(NamedTuple):
    texts: Sequence[bytes]
    bytes: int
    tokens: asyncio.Future[Tokens]


class TokenizingStage:
    """Joins concurrent `tokenize` calls. Use it from one event loop only."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
        self._waiting: dict[ModelVersion, list[_Waiting]] = {}
        self._running = False

    async def tokenize(self, version: ModelVersion, texts: Sequence[bytes]) -> Tokens:
        """Tokenizes n ≥ 0 texts, in calls with the texts of waiting requests."""
        if not texts:
            return Tokens([], np.zeros([0], np.bool_))
        start = time.monotonic()
        parts = [await self._tokenize_part(version, part) for part in _parts(texts)]
        note("tokenize", start, time.monotonic(), texts=len(texts))
        rows = [row for part in parts for row in part.rows]
        return Tokens(rows, np.concatenate([part.truncated for part in parts]))

    def close(self) -> None:
        """Waits for the running call and ends the thread."""
        self._pool.shutdown()

    async def _tokenize_part(self, version: ModelVersion, texts: Sequence[bytes]) -> Tokens:
        loop = asyncio.get_running_loop()
        tokens: asyncio.Future[Tokens] = loop.create_future()
        self._waiting.setdefault(version, []).append(_Waiting(texts, sum(map(len, texts)), tokens))
        if not self._running:
            self._running = True
            self._task = loop.create_task(self._run())
        return await tokens

    async def _run(self) -> None:
        try:
            while self._waiting:
                version = next(iter(self._waiting))
                requests = self._take(version)
                try:
                    await self._run_together(version, requests)
                except Exception:
                    for request in requests:
                        await self._run_alone(version, request)
        finally:
            self._running = False

    def _take(self, version: ModelVersion) -> list[_Waiting]:
        """Removes the requests of the next call; the other versions have their turn after it."""
        waiting = [one for one in self._waiting.pop(version) if not one.tokens.done()]
        taken, total = 0, 0
        while taken < len(waiting) and (not taken or total + waiting[taken].bytes <= _CALL_BYTES):
            total += waiting[taken].bytes
            taken += 1
        if rest := waiting[taken:]:
            self._waiting[version] = rest
        return waiting[:taken]

    async def _run_together(self, version: ModelVersion, requests: list[_Waiting]) -> None:
        texts = [text for request in requests for text in request.texts]
        if not texts:  # all requests were cancelled
            return
        rows, truncated = await self._call(version, texts)
        start = 0
        for request in requests:
            end = start + len(request.texts)
            if not request.tokens.done():
                request.tokens.set_result(Tokens(rows[start:end], truncated[start:end]))
            start = end

    async def _run_alone(self, version: ModelVersion, request: _Waiting) -> None:
        """Tokenizes one request of a failed call, so that only the faulty request fails."""
        try:
            tokens = await self._call(version, request.texts)
        except Exception as error:
            if not request.tokens.done():
                failure = ServingError(Code.INTERNAL, "the tokenizer failed on this input")
                failure.__cause__ = error
                request.tokens.set_exception(failure)
        else:
            if not request.tokens.done():
                request.tokens.set_result(tokens)

    async def _call(self, version: ModelVersion, texts: Sequence[bytes]) -> Tokens:
        loop = asyncio.get_running_loop()
        return Tokens(*await loop.run_in_executor(self._pool, version.tokenize, texts))


def _parts(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yields n ≥ 1 texts in parts of at most `_PART_BYTES`, or of one longer text."""
    start, total = 0, 0
    for index, text in enumerate(texts):
        if index > start and total + len(text) > _PART_BYTES:
            yield texts[start:index]
            start, total = index, 0
        total += len(text)
    yield texts[start:]
