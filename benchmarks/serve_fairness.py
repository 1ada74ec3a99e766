r"""How long one text waits beside requests of many texts.

    rejoinder serve --model encoder=out/export/encoder --port 8521
    python -m benchmarks.serve_fairness --url http://127.0.0.1:8521/v1/embeddings \
        --texts comments.jsonl

One client sends a word, again and again; another sends requests of many texts without a pause.
The time of a batch is that of a request whose texts fill one, while nothing else runs.
Prints a Markdown row for each size of the large requests.
"""

import argparse
import statistics
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serve import read_texts
from benchmarks.serve_load import embed

_BATCHES = 12


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="of a server's OpenAI embeddings endpoint")
    parser.add_argument("--model", default="encoder", help="model name in requests")
    parser.add_argument("--texts", type=Path, required=True, help="plain lines, or JSON lines")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--requests", type=int, default=30, help="of one word, for each size")
    parser.add_argument("--batch", type=int, default=27, help="texts that fill a batch")
    args = parser.parse_args()
    texts = read_texts(args.texts)
    parts = [texts[i * args.batch : (i + 1) * args.batch] for i in range(_BATCHES)]
    batch = statistics.median(_seconds(args, part) for part in parts)
    print(f"a batch of {args.batch} texts takes {1000 * batch:.0f} ms\n")
    print("| texts of the bulk | p50 ms | slowest ms | in batches | refused |")
    print("| ---: | ---: | ---: | ---: | ---: |", flush=True)
    for size in args.sizes:
        latencies, refused = _beside(args, texts[:size])
        print(
            f"| {size} | {1000 * statistics.median(latencies):.0f} | {1000 * latencies[-1]:.0f} "
            f"| {latencies[-1] / batch:.1f} | {refused} |",
            flush=True,
        )


def _beside(args: argparse.Namespace, bulk: Sequence[str]) -> tuple[list[float], int]:
    """Sends single words beside bulks; returns the ascending seconds and the refused requests."""
    stop = threading.Event()
    statuses: Counter[int] = Counter()

    def send_bulks() -> None:
        while not stop.is_set():
            _count(statuses, lambda: embed(args.url, args.model, bulk))

    thread = threading.Thread(target=send_bulks)
    thread.start()
    time.sleep(1)
    latencies = []
    for _ in range(args.requests):
        start = time.monotonic()
        if _count(statuses, lambda: embed(args.url, args.model, ["hello"])):
            latencies.append(time.monotonic() - start)
        time.sleep(0.05)
    stop.set()
    thread.join()
    return sorted(latencies), statuses.total() - statuses[200]


def _seconds(args: argparse.Namespace, texts: Sequence[str]) -> float:
    start = time.monotonic()
    embed(args.url, args.model, texts)
    return time.monotonic() - start


def _count(statuses: Counter[int], send: Callable[[], Any]) -> bool:
    """Sends a request, counts its status and returns whether it was answered."""
    try:
        send()
    except urllib.error.HTTPError as error:
        statuses[error.code] += 1
        return False
    statuses[200] += 1
    return True


if __name__ == "__main__":
    main()
