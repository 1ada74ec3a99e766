"""Requests per second and latency of the server, beside a Python peer, under real load.

    python benchmarks/serve.py --name ours --url http://127.0.0.1:8501/v1/embeddings \
        --model encoder --texts comments.txt --clients 1 8 64 --seconds 20

Drives one running server at a time with closed-loop clients: each sends a text,
waits for the answer, sends the next. Any server with OpenAI's embeddings API can be
measured (ours, infinity, or `--serve-sentence-transformers FOLDER`, which starts the
plain peer: sentence-transformers behind FastAPI, one encode per request). Texts are
one per line. Prints one Markdown row for each number of clients; 429s are counted
apart (after one, a client pauses `--pause` seconds, whatever Retry-After says).
"""

import argparse
import asyncio
import itertools
import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path

import aiohttp


async def client(
    session: aiohttp.ClientSession, url: str, model: str, texts, until: float, pause: float
) -> tuple[list[float], Counter]:
    """Sends texts until the time is up; returns latencies of successes, and statuses."""
    latencies: list[float] = []
    statuses: Counter = Counter()
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


async def measure(args: argparse.Namespace, clients: int, texts) -> None:
    """Runs `clients` closed loops and prints their row."""
    connector = aiohttp.TCPConnector(limit=clients)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        await client(session, args.url, args.model, texts, time.monotonic() + args.warm_up, 0.1)
        start = time.monotonic()
        results = await asyncio.gather(
            *(
                client(session, args.url, args.model, texts, start + args.seconds, args.pause)
                for _ in range(clients)
            )
        )
        seconds = time.monotonic() - start
    latencies = sorted(latency for some, _ in results for latency in some)
    statuses: Counter = sum((counter for _, counter in results), Counter())
    refused = sum(count for status, count in statuses.items() if status != 200)
    memory = f"{resident(args.pid):,}" if args.pid else "-"
    if not latencies:
        print(f"| {args.name} | {clients} | 0 | - | - | {dict(statuses)} | {memory} |", flush=True)
        return
    percentiles = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    print(
        f"| {args.name} | {clients} | {len(latencies) / seconds:.1f} "
        f"| {percentiles[49] * 1000:.0f} | {percentiles[98] * 1000:.0f} "
        f"| {refused} | {memory} |",
        flush=True,
    )


def resident(pid: int) -> int:
    """Returns a process's resident memory in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def read_texts(path: Path) -> list[str]:
    """Reads texts: plain lines, or JSON lines with a `context`, `body` or `text`."""
    texts = []
    for line in path.read_text().splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            line = row.get("context") or row.get("body") or row.get("text") or ""
        if line.strip():
            texts.append(line)
    return texts


def serve_sentence_transformers(folder: str, port: int) -> None:
    """The plain peer: sentence-transformers behind FastAPI, OpenAI's answer format."""
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
    parser.add_argument("--name", default="ours", help="name in the table")
    parser.add_argument("--url", help="full URL of an OpenAI embeddings endpoint")
    parser.add_argument("--model", default="encoder", help="model name in requests")
    parser.add_argument("--texts", type=Path, help="file of texts")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=3)
    parser.add_argument("--pause", type=float, default=0.05, help="after a refusal, in seconds")
    parser.add_argument("--pid", type=int, help="server process, to report its memory")
    parser.add_argument("--repeat", type=int, default=1, help="rounds, to see memory over time")
    args = parser.parse_args()
    if args.serve_sentence_transformers:
        serve_sentence_transformers(args.serve_sentence_transformers, args.port)
        return
    texts = itertools.cycle(read_texts(args.texts))
    print("| server | clients | requests/s | p50 ms | p99 ms | refused | MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for _ in range(args.repeat):
        for clients in args.clients:
            asyncio.run(measure(args, clients, texts))


if __name__ == "__main__":
    main()
