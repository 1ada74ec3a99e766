r"""Measures throughput and latency of servers with real texts: ours and its peers.

    python -m benchmarks.serve --texts comments.jsonl --clients 1 8 64 --seconds 10 \
        --server ours http://127.0.0.1:8521/v1/embeddings PID \
        --server infinity http://127.0.0.1:8522/v1/embeddings PID \
        --limit out/export/encoder/1

Start the servers first, each with the same model under the name `--model`; they are
measured in turn, one at a time, for each number of clients. Clients are closed
loops: each sends a text, waits for the response, then sends the next. Any server with
OpenAI's embeddings API can be measured: ours, infinity, or `benchmarks.serve_peer`
(sentence-transformers behind FastAPI). Prints Markdown rows; the last column is the
throughput of the first server divided by that of the row. With `--repeat`, the memory of
PID is printed over time. Refusals (429) are counted separately; after one, a client pauses
`--pause` seconds and ignores Retry-After.

With `--export BASE` the servers are started here, ours in each engine and precision and
those peers whose folders are given. All run at the same time and get requests in turns, in
`--rounds` rounds. A lone client sends each server the same `--requests` texts of a round, and
the engines without a server embed these texts too. Printed are medians, with the least and
the greatest round, the least cosine of a server's embeddings to the first server's, and the
ratios to the best peer of each precision.
"""

import argparse
import itertools
import json
import math
import random
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.serve_compare import compare
from benchmarks.serve_contenders import contenders
from benchmarks.serve_load import many_clients, resident


def report(args: argparse.Namespace, clients: int, texts: list[str]) -> None:
    """Measures every server with `clients` clients and prints its row."""
    first = 0.0
    for name, url, *pid in args.server:
        # Every measurement starts at the same text.
        rate, latencies, refused = many_clients(
            url,
            args.model,
            texts,
            clients=clients,
            seconds=args.seconds,
            warm_up=args.warm_up,
            pause=args.pause,
        )
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


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    group = parser.add_argument_group("servers that are started here and measured in turns")
    group.add_argument("--export", metavar="BASE", help="ours; made with `export --openvino`")
    group.add_argument("--int8-export", metavar="BASE", help="ours; made with `export --int8`")
    group.add_argument("--folder", metavar="DIR", help="the model, for sentence-transformers")
    group.add_argument(
        "--onnx", metavar="DIR", help="the model as `optimum-cli export onnx` writes it"
    )
    group.add_argument("--peers-python", metavar="PATH", help="of `make setup-serve-peers`")
    group.add_argument(
        "--precisions",
        nargs="+",
        default=["float32", "bfloat16", "int8"],
        help="of the servers; all at once need about 17 GB of memory",
    )
    group.add_argument("--rounds", type=int, default=5)
    group.add_argument("--requests", type=int, default=60, help="of a lone client in each round")
    parser.add_argument("--model", default="encoder", help="model name in requests")
    parser.add_argument("--texts", type=Path, help="texts: plain lines, or JSON lines")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=3)
    parser.add_argument("--pause", type=float, default=0.05, help="after a refusal, in seconds")
    parser.add_argument("--repeat", type=int, default=1, help="rounds, to see memory over time")
    args = parser.parse_args()
    started = contenders(args)
    if not (args.server or started) or not args.texts:
        parser.error("--texts, and --server or --export, are needed")
    texts = read_texts(args.texts)
    # Texts near each other in a file are similar; without shuffling, a faster server
    # would meet texts of other lengths.
    random.Random(0).shuffle(texts)
    if started:
        print("| server | clients | requests/s | p50 ms | p99 ms | refused | MiB | cosine |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
        compare(args, started, texts)
    else:
        print("| server | clients | requests/s | p50 ms | p99 ms | refused | MiB | first / this |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    if args.limit:
        rate = model_alone(args.limit, texts, args.seconds)
        print(f"| the model alone | - | {rate:.1f} | - | - | - | - | - |", flush=True)
    for _ in range(args.repeat if args.server else 0):
        for clients in args.clients:
            report(args, clients, texts)


if __name__ == "__main__":
    main()
