r"""Shows where the memory of a server goes, for each engine and precision.

    python -m benchmarks.serve_memory --export out/export/encoder --int8-export out/export/int8 \
        --texts comments.jsonl

For each engine and precision the parts of a server are loaded one after another in a
process of their own, and then a server is started and measured before and after a load of
closed-loop clients. Prints Markdown tables in MiB. Resident pages are either anonymous (the
process's own) or of files (libraries and mapped weights, which the kernel can drop and
which several processes share).
"""

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.serve import read_texts
from benchmarks.serve_contenders import Contender, all_running, contenders
from benchmarks.serve_load import many_clients
from benchmarks.serve_memory_steps import (
    LOADING,
    OPENVINO,
    PYTHON,
    SERVER,
    TENSORFLOW,
    WARM_UP,
    Memory,
    measure,
)
from rejoinder.serving.engine_options import ENGINES
from rejoinder.tables import markdown_table

_REQUESTS = "requests: activations, buffers, responses"
_PARTS = (PYTHON, TENSORFLOW, OPENVINO, SERVER, LOADING, WARM_UP, _REQUESTS)
_TF_FILES, _OPENVINO_FILES = "libraries of TensorFlow", "libraries of OpenVINO"
_WEIGHTS, _OTHER = "weights of the OpenVINO model", "other libraries and files"


def files(pid: int) -> Counter[str]:
    """Returns the resident MiB of each kind of mapped file of a process."""
    sizes: Counter[str] = Counter()
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if match := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)", line):
            name = match[1]
        elif match := re.match(r"(Rss|Anonymous): +(\d+) kB", line):
            sign = 1 if match[1] == "Rss" else -1
            sizes[_kind(name)] += sign * int(match[2]) / 1024
    return sizes


def _kind(path: str) -> str:
    for part, kind in (
        ("/encoder.bin", _WEIGHTS),
        ("/tensorflow", _TF_FILES),
        ("/openvino/", _OPENVINO_FILES),
    ):
        if part in path:
            return kind
    return _OTHER


def _options(server: Contender) -> dict[str, str]:
    """Returns the options of a server's command line with their values."""
    return dict(itertools.pairwise(server.command))


def steps(server: Contender) -> dict[str, Memory]:
    """Returns the memory after each part of a server, measured in a process of its own."""
    options = _options(server)
    base = Path(options["--model"].partition("=")[2])
    newest = max(
        (path for path in base.iterdir() if path.name.isdigit()), key=lambda p: int(p.name)
    )
    command = [sys.executable, "-m", "benchmarks.serve_memory_steps", str(newest)]
    done = subprocess.run(
        [*command, options["--engine"], options["--precision"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return {name: Memory(*values) for name, values in json.loads(done.stdout).items()}


def report(args: argparse.Namespace, servers: list[Contender], texts: Sequence[str]) -> None:
    """Measures each server and prints the tables."""
    totals, parts, mapped = [], {}, {}
    for server in servers:
        loaded = steps(server)
        with (
            tempfile.TemporaryDirectory() as folder,
            all_running([server], Path(folder)) as (process,),
        ):
            started = measure(process.pid)
            many_clients(process.url, args.model, texts, clients=args.clients, seconds=args.seconds)
            after = measure(process.pid)
            mapped[server.name] = files(process.pid)
        loaded[_REQUESTS] = after
        parts[server.name] = loaded
        totals.append(
            [
                server.name.removeprefix("ours, "),
                *(f"{value:,.0f}" for value in (started.resident, *after)),
                f"{after.resident - after.anonymous:,.0f}",
            ]
        )
    print(f"\nAfter the start, and after {args.clients} clients for {args.seconds:g} s:\n")
    header = ["server", "RSS at start", "RSS", "PSS", "anonymous", "of files"]
    print(markdown_table(header, totals))
    print("\nRSS by part, each measured after the one above it:\n")
    _print_columns({name: _differences(found) for name, found in parts.items()}, _PARTS)
    print("\nPages of files:\n")
    _print_columns(mapped, (_TF_FILES, _OPENVINO_FILES, _WEIGHTS, _OTHER))


def _differences(found: dict[str, Memory]) -> dict[str, float]:
    ends = [memory.resident for memory in found.values()]
    return {
        name: end - start for name, start, end in zip(found, [0.0, *ends[:-1]], ends, strict=True)
    }


def _print_columns(columns: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> None:
    rows = [
        [name, *(f"{column[name]:,.0f}" if name in column else "" for column in columns.values())]
        for name in names
        if any(name in column for column in columns.values())
    ]
    rows.append(["together", *(f"{sum(column.values()):,.0f}" for column in columns.values())])
    print(markdown_table(["MiB", *(name.removeprefix("ours, ") for name in columns)], rows))


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--export", metavar="BASE", help="made with `export --openvino`")
    parser.add_argument("--int8-export", metavar="BASE", help="made with `export --int8`")
    parser.add_argument("--texts", type=Path, help="texts: plain lines, or JSON lines")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    # What `contenders` asks for; there are no peers here.
    parser.set_defaults(
        model="encoder",
        precisions=("float32", "bfloat16", "int8"),
        peers_python=None,
        folder=None,
        onnx=None,
    )
    args = parser.parse_args()
    servers = [each for each in contenders(args) if _options(each)["--engine"] in args.engines]
    if not servers or not args.texts:
        parser.error("--texts and --export are needed")
    report(args, servers, read_texts(args.texts))


if __name__ == "__main__":
    main()
