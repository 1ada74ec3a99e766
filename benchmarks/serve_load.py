"""Closed-loop clients of OpenAI's embeddings API: each waits for a response before the next."""

import asyncio
import base64
import itertools
import json
import math
import os
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import numpy as np
from numpy.typing import NDArray

_WARM_UP_REQUESTS = 5


class Result(NamedTuple):
    """What clients measured.

    Attributes:
        rate: Successful requests per second.
        latencies: Seconds of the successful requests, ascending.
        refused: Requests with another status than 200.
    """

    rate: float
    latencies: list[float]
    refused: int


def many_clients(
    url: str,
    model: str,
    texts: Sequence[str],
    *,
    clients: int,
    seconds: float,
    warm_up: float = 0.0,
    pause: float = 0.05,
) -> Result:
    """Runs clients for a time.

    Args:
        url: The endpoint.
        model: The model's name.
        texts: Texts, which are sent again and again from the first one on.
        clients: Clients at the same time.
        seconds: Time in which they send requests.
        warm_up: Seconds of a single client before that.
        pause: Seconds that a client waits after a request without success.
    """
    endless = itertools.cycle(texts)

    async def run() -> Result:
        async with _session(clients) as session:
            warm_until = time.monotonic() + warm_up
            await _client(session, url, model, endless, warm_until, pause)
            start = time.monotonic()
            until = start + seconds
            results = await asyncio.gather(
                *(_client(session, url, model, endless, until, pause) for _ in range(clients))
            )
            return _together(results, time.monotonic() - start)

    return asyncio.run(run())


def lone_client(url: str, model: str, texts: Sequence[str]) -> Result:
    """Sends each text once, one after another, after a few requests that are not counted.

    Servers that are compared get the same texts, because a request's time depends on its length.
    """

    async def run() -> Result:
        async with _session(1) as session:
            await _client(session, url, model, iter(texts[:_WARM_UP_REQUESTS]), math.inf, 0.05)
            start = time.monotonic()
            result = await _client(session, url, model, iter(texts), math.inf, 0.05)
            return _together([result], time.monotonic() - start)

    return asyncio.run(run())


def embed(url: str, model: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Returns a server's embeddings of n texts, float32 [n, d]."""
    body = {"model": model, "input": list(texts), "encoding_format": "base64"}
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as response:
        data = json.load(response)["data"]
    return np.stack([_vector(one["embedding"]) for one in data])


def resident(pid: int) -> int:
    """Returns a process's resident memory in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def _vector(cell: str | list[float]) -> NDArray[np.float32]:
    if isinstance(cell, str):
        return np.frombuffer(base64.b64decode(cell), "<f4")
    return np.array(cell, np.float32)


def _session(clients: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=clients), timeout=aiohttp.ClientTimeout(total=120)
    )


async def _client(
    session: aiohttp.ClientSession,
    url: str,
    model: str,
    texts: Iterator[str],
    until: float,
    pause: float,
) -> tuple[list[float], Counter[int | str]]:
    """Sends texts until the time `until`; returns latencies of successes, and status counts."""
    latencies: list[float] = []
    statuses: Counter[int | str] = Counter()
    while time.monotonic() < until and (text := next(texts, None)) is not None:
        body = {"model": model, "input": [text], "encoding_format": "base64"}
        start = time.monotonic()
        try:
            async with session.post(url, json=body) as answer:
                await answer.read()
                status: int | str = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            status = type(error).__name__
        statuses[status] += 1
        if status == 200:
            latencies.append(time.monotonic() - start)
        else:
            await asyncio.sleep(pause)
    return latencies, statuses


def _together(results: Sequence[tuple[list[float], Counter[int | str]]], seconds: float) -> Result:
    latencies = sorted(latency for some, _ in results for latency in some)
    statuses: Counter[int | str] = sum((counter for _, counter in results), Counter())
    if unexpected := statuses.keys() - {200, 429}:
        print(f"neither successful nor refused: { {key: statuses[key] for key in unexpected} }")
    return Result(len(latencies) / seconds, latencies, statuses.total() - statuses[200])
