"""Tokenizing the texts of concurrent requests together.

A call into the graph costs about as much as tokenizing a hundred comments, so all
texts that arrive while one call runs share the next.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from rejoinder.serving.engine.model_version import LoadedVersion
from rejoinder.serving.errors import Code, ServingError


class Tokens(NamedTuple):
    """Rows of ids (int32, one array per text) and whether each text was cut (bool [n])."""

    rows: list[np.ndarray]
    truncated: np.ndarray


class _Waiting(NamedTuple):
    texts: Sequence[bytes]
    tokens: asyncio.Future


class TokenizingStage:
    """Joins concurrent `tokenize` calls. One event loop only."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tokenize")
        self._waiting: dict[LoadedVersion, list[_Waiting]] = {}
        self._running = False

    async def tokenize(self, version: LoadedVersion, texts: Sequence[bytes]) -> Tokens:
        """Tokenizes texts (n ≥ 0), together with whatever else is waiting."""
        if not texts:
            return Tokens([], np.zeros([0], bool))
        waiting = _Waiting(texts, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(version, []).append(waiting)
        if not self._running:
            self._running = True
            self._task = asyncio.get_running_loop().create_task(self._run())
        return await waiting.tokens

    def close(self) -> None:
        """Waits for the running call and ends the thread."""
        self._pool.shutdown()

    async def _run(self) -> None:
        try:
            while self._waiting:
                version, requests = self._waiting.popitem()
                try:
                    await self._run_together(version, requests)
                except Exception:
                    for request in requests:
                        await self._run_alone(version, request)
        finally:
            self._running = False

    async def _run_together(self, version: LoadedVersion, requests: list[_Waiting]) -> None:
        texts = [text for request in requests for text in request.texts]
        rows, truncated = await self._call(version, texts)
        start = 0
        for request in requests:
            end = start + len(request.texts)
            if not request.tokens.done():
                request.tokens.set_result(Tokens(rows[start:end], truncated[start:end]))
            start = end

    async def _run_alone(self, version: LoadedVersion, request: _Waiting) -> None:
        try:
            rows, truncated = await self._call(version, request.texts)
        except Exception as error:
            if not request.tokens.done():
                failure = ServingError(Code.INTERNAL, "the tokenizer failed on this input")
                failure.__cause__ = error
                request.tokens.set_exception(failure)
        else:
            if not request.tokens.done():
                request.tokens.set_result(Tokens(rows, truncated))

    async def _call(
        self, version: LoadedVersion, texts: Sequence[bytes]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, version.tokenize, texts)
