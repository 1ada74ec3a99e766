r"""Measures throughput and latency of servers with real texts: ours and its peers.

    python -m benchmarks.serve --texts comments.jsonl --clients 1 8 64 --seconds 10 \
        --server ours http://127.0.0.1:8521/v1/embeddings PID \
        --server infinity http://127.0.0.1:8522/v1/embeddings PID \
        --limit out/export/encoder/1

Start the servers first, each with the same model under the name `--model`; they are
measured in turn, one at a time, for each number of clients. Clients are closed
loops: each sends a text, waits for the response, then sends the next. Any server with
OpenAI's embeddings API can be measured: ours, infinity, or the plain peer that
`--serve-sentence-transformers FOLDER` starts (sentence-transformers behind FastAPI,
one encode call per request). Prints Markdown rows; the last column is the throughput
of the first server divided by that of the row. With `--repeat`, the memory of PID is
printed over time. Refusals (429) are counted separately; after one, a client pauses
`--pause` seconds and ignores Retry-After.
"""

import argparse
import asyncio
import itertools
import json
import math
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import numpy as np


async def client(
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
    while time.monotonic() < until:
        body = {"model": model, "input": [next(texts)], "encoding_format": "base64"}
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


async def load(
    args: argparse.Namespace, url: str, clients: int, texts: Iterator[str]
) -> tuple[float, list[float], int]:
    """Runs `clients` closed loops; returns requests/s, sorted latencies (s), and refusals."""
    connector = aiohttp.TCPConnector(limit=clients)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await client(session, url, args.model, texts, time.monotonic() + args.warm_up, 0.1)
        start = time.monotonic()
        results = await asyncio.gather(
            *(
                client(session, url, args.model, texts, start + args.seconds, args.pause)
                for _ in range(clients)
            )
        )
        seconds = time.monotonic() - start
    latencies = sorted(latency for some, _ in results for latency in some)
    statuses: Counter[int | str] = sum((counter for _, counter in results), Counter())
    if unexpected := statuses.keys() - {200, 429}:
        print(f"neither successful nor refused: { {key: statuses[key] for key in unexpected} }")
    return len(latencies) / seconds, latencies, statuses.total() - statuses[200]


def report(args: argparse.Namespace, clients: int, texts: list[str]) -> None:
    """Measures every server with `clients` clients and prints a row for each."""
    first = 0.0
    for name, url, *pid in args.server:
        # Every measurement starts at the same text.
        endless = itertools.cycle(texts)
        rate, latencies, refused = asyncio.run(load(args, url, clients, endless))
        first = first or rate
        memory = f"{resident(int(pid[0])):,}" if pid else "-"
        # Percentiles need two latencies.
        percentiles = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
        print(
            f"| {name} | {clients} | {rate:.1f} | {percentiles[49] * 1000:.0f} "
            f"| {percentiles[98] * 1000:.0f} | {refused} | {memory} "
            f"| {first / rate if rate else math.inf:.2f} |",
            flush=True,
        )


def model_alone(folder: Path, texts: list[str], seconds: float) -> float:
    """Returns the limit: texts/s of an exported version without a server, in batches as large."""
    from rejoinder.serving.engine.model_version import ModelVersion
    from rejoinder.serving.limits import Limits

    version = ModelVersion(folder)
    room = Limits().max_batch_tokens
    rows, _ = version.tokenize([text.encode() for text in texts[:4096]])
    ends = np.flatnonzero(np.diff(np.cumsum([len(row) for row in rows]) // room)) + 1
    batches = itertools.cycle([rows[a:b] for a, b in itertools.pairwise([0, *ends])])
    version.encode(next(batches))
    done, start = 0, time.monotonic()
    while time.monotonic() - start < seconds:
        batch = next(batches)
        version.encode(batch)
        done += len(batch)
    return done / (time.monotonic() - start)


def resident(pid: int) -> int:
    """Returns a process's resident memory in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def read_texts(path: Path) -> list[str]:
    """Reads texts from plain lines, or from JSON lines with a `context`, `body` or `text`."""
    texts = []
    for line in path.read_text().splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            line = row.get("context") or row.get("body") or row.get("text") or ""
        if line.strip():
            texts.append(line)
    return texts


def serve_sentence_transformers(folder: str, port: int) -> None:
    """Runs the plain peer: sentence-transformers behind FastAPI, in OpenAI's format."""
    import base64

    import uvicorn
    from fastapi import FastAPI
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    app = FastAPI()

    @app.post("/v1/embeddings")
    def embeddings(body: dict) -> dict:
        vectors = model.encode(body["input"])
        data = [
            {"object": "embedding", "index": i, "embedding": base64.b64encode(v.tobytes()).decode()}
            for i, v in enumerate(vectors)
        ]
        return {"object": "list", "data": data, "model": body.get("model")}

    uvicorn.run(app, port=port, log_level="warning")


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve-sentence-transformers", metavar="FOLDER", help="start the peer")
    parser.add_argument("--port", type=int, default=8600, help="port of the peer")
    parser.add_argument(
        "--server",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "URL [PID]"),
        help="a server: name in the table, URL of its OpenAI embeddings endpoint, and process "
        "whose memory is reported; may be repeated",
    )
    parser.add_argument(
        "--limit",
        type=Path,
        metavar="FOLDER",
        help="an exported version: its rate without a server is printed first",
    )
    parser.add_argument("--model", default="encoder", help="model name in requests")
    parser.add_argument("--texts", type=Path, help="texts: plain lines, or JSON lines")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=3)
    parser.add_argument("--pause", type=float, default=0.05, help="after a refusal, in seconds")
    parser.add_argument("--repeat", type=int, default=1, help="rounds, to see memory over time")
    args = parser.parse_args()
    if args.serve_sentence_transformers:
        serve_sentence_transformers(args.serve_sentence_transformers, args.port)
        return
    if not args.server or not args.texts:
        parser.error("--server and --texts are needed")
    texts = read_texts(args.texts)
    # Texts near each other in a file are similar; without shuffling, a faster server
    # would meet texts of other lengths.
    random.Random(0).shuffle(texts)
    print("| server | clients | requests/s | p50 ms | p99 ms | refused | MiB | first / this |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    if args.limit:
        rate = model_alone(args.limit, texts, args.seconds)
        print(f"| the model alone | - | {rate:.1f} | - | - | - | - | - |", flush=True)
    for _ in range(args.repeat):
        for clients in args.clients:
            report(args, clients, texts)


if __name__ == "__main__":
    main()
