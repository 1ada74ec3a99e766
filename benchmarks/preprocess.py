"""Measures the comments per second of `rejoinder preprocess`, its peers and the floor in one run.

    make bench BENCH=preprocess ARGS='--input RC_2015-01.zst --tokenizer FOLDER'

Ours is the whole command: decompress, parse, filter, shuffle, join, tokenize both
sides exactly, write checked shards. The input is repeated with other ids up to
--comments. Each row is one process on one core with one thread per library (two cores
for two processes). Start-up is measured on a few hundred comments, subtracted and
printed. `comments/s per core` divides by CPU seconds, which also hold on a shared
machine. --memory adds ours with a quarter of the input and with four times the input,
to show that memory does not grow with it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rejoinder.pipelines.testing import dialogue, ndjson
from rejoinder.tables import markdown_table

_IDS = re.compile(rb'"(?:id|name|parent_id|link_id)": ?"(?:t[0-9]_)?[0-9a-z]+(?=")')
_ALL_OF_REDDIT = 3_680_000_000  # comments in the published run of PolyAI's extractor
_LIBRARIES = "tensorflow, tensorflow_text, apache_beam, polars"
_ELEMENTS = 60_000  # comments of the element-wise job, which is slow and linear


def repeat(source: Path, target: Path, copies: int) -> int:
    """Writes copies of a dump, each with its own ids, to one .zst; returns the comment count."""
    import zstandard

    from rejoinder.pipelines.dumps.chunks import FileSummary, read_chunks

    total = 0
    with open(target, "wb") as file, zstandard.ZstdCompressor(level=3).stream_writer(file) as out:
        for copy in range(copies):
            suffix = b"x%d" % copy
            for chunk in read_chunks(str(source), FileSummary(), checksum=False):
                data = chunk.data if chunk.data.endswith(b"\n") else chunk.data + b"\n"
                out.write(_IDS.sub(rb"\g<0>" + suffix, data))
                total += chunk.lines
    return total


def measure(command: Sequence[str], cores: set[int]) -> dict:
    """Runs a command on these cores; returns wall and CPU seconds, peak MB and its last line."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        pid = os.posix_spawn(
            command[0],
            command,
            os.environ | {"PYTHONPATH": os.getcwd()},
            file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)],
        )
        os.sched_setaffinity(pid, cores)
        _, status, usage = os.wait4(pid, 0)
        out.seek(0)
        lines = out.read().decode().strip().splitlines()
    if status:
        raise SystemExit(f"{' '.join(command)}: exit status {os.waitstatus_to_exitcode(status)}")
    return {
        "wall": time.perf_counter() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "last": lines[-1] if lines else "",
    }


def ours(path: Path, folder: Path, tokenizer: str, workers: int, cores: set[int]) -> dict:
    """Measures the command, as `measure` does."""
    output = folder / f"ours-{workers}-{path.name}"
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--input", str(path), "--quiet"]
    command += ["--output", str(output), "--tokenizer", tokenizer, "--workers", str(workers)]
    result = measure(command, cores)
    subprocess.run(["rm", "-rf", str(output)], check=True)
    return result


def bare_imports(cores: set[int]) -> dict:
    """Measures one process that imports the libraries of the job; returns the faster of two."""
    command = [sys.executable, "-c", f"import rejoinder, {_LIBRARIES}"]
    return min((measure(command, cores) for _ in range(2)), key=lambda run: run["wall"])


def startup(path: Path, folder: Path, tokenizer: str, workers: int, cores: set[int]) -> dict:
    """Measures the command on a tiny dump; returns the faster of two runs."""
    runs = [ours(path, folder, tokenizer, workers, cores) for _ in range(2)]
    return min(runs, key=lambda run: run["wall"])


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, help="a dump (default: a generated one)")
    parser.add_argument("--tokenizer", required=True, help="Hugging Face tokenizer folder")
    parser.add_argument("--comments", type=int, default=2_500_000, help="default 2,500,000")
    parser.add_argument(
        "--memory", action="store_true", help="also ours at a quarter and four times the input"
    )
    parser.add_argument("--no-peers", action="store_true", help="measure ours only")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run(arguments, Path(name))


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Measures every row and prints the table."""
    core, two = {0}, {0, 1}
    source = arguments.input
    if source is None:
        source = folder / "generated"
        source.write_bytes(ndjson(dialogue(40_000, 8)))
    one = folder / "one"
    # Large enough that no bucket is empty, so that each process loads all libraries.
    one.write_bytes(ndjson(dialogue(50)))
    per_copy = repeat(source, folder / "copy.zst", 1)
    copies = -(-arguments.comments // per_copy)
    big = folder / "big.zst"
    total = repeat(source, big, copies)
    stored = big.stat().st_size / 1e6
    print(f"{total:,} comments, {stored:.0f} MB stored, load {os.getloadavg()[0]:.1f}", flush=True)

    ours(one, folder, arguments.tokenizer, 1, core)  # fills the disk cache
    start = startup(one, folder, arguments.tokenizer, 1, core)
    start_two = startup(one, folder, arguments.tokenizer, 2, two)
    report_startup(bare_imports(two), start, start_two)
    rows: list[tuple[str, float, float, float, float]] = []  # name, comments, wall, cpu, peak

    def add(label: str, comments: int, result: dict, startup: dict) -> None:
        wall, cpu = result["wall"] - startup["wall"], result["cpu"] - startup["cpu"]
        rows.append((label, comments, wall, cpu, result["peak_mb"]))

    one_run = ours(big, folder, arguments.tokenizer, 1, core)
    two_run = ours(big, folder, arguments.tokenizer, 2, two)
    add("ours, 1 process", total, one_run, start)
    add("ours, 2 processes", total, two_run, start_two)
    print(
        f"with start-up: 1 process {one_run['wall']:.1f} s, 2 processes {two_run['wall']:.1f} s, "
        f"{one_run['wall'] / two_run['wall']:.2f} times as fast",
        flush=True,
    )
    if arguments.memory:
        for label, number in (("a quarter of", max(copies // 4, 1)), ("four times", copies * 4)):
            part = folder / "part.zst"
            count = repeat(source, part, number)
            result = ours(part, folder, arguments.tokenizer, 1, core)
            add(f"ours, {label} the input", count, result, start)
            part.unlink()
    peers = {
        "floor": 0,
        "same steps": 0,
        "DuckDB": 0,
        "HF tokenizers": 300_000,
        "element-wise Beam": _ELEMENTS,
    }
    for peer, limit in () if arguments.no_peers else peers.items():
        command = [sys.executable, "-m", "benchmarks.preprocess_peers", peer, str(big)]
        result = measure([*command, str(folder / "peer"), arguments.tokenizer, str(limit)], core)
        figures = json.loads(result["last"])
        seconds = figures["wall"], figures["cpu"]
        rows.append((peer, figures["comments"], *seconds, result["peak_mb"]))
    report(rows, arguments.json)


def report_startup(imports: dict, start: dict, start_two: dict) -> None:
    """Prints the start-up beside the imports alone."""
    print(f"imports alone: {imports['wall']:.1f} s, CPU {imports['cpu']:.1f} s")
    for name, run in (("1 process", start), ("2 processes", start_two)):
        print(
            f"start-up, {name}: {run['wall']:.1f} s, {run['wall'] / imports['wall']:.2f} x; "
            f"CPU {run['cpu']:.1f} s, {run['cpu'] / imports['cpu']:.2f} x",
            flush=True,
        )


def report(rows: list, path: Path | None) -> None:
    """Prints the table and writes the figures."""
    base = rows[0][1] / rows[0][3]
    header = ["", "comments", "wall s", "CPU s", "comments/s", "comments/s per core", "ours is"]
    table = []
    for name, comments, wall, cpu, peak in rows:
        rate = comments / cpu
        figures = (
            name,
            f"{comments:,}",
            f"{wall:.1f}",
            f"{cpu:.1f}",
            f"{comments / wall:,.0f}",
            f"{rate:,.0f}",
            f"{base / rate:.2f} x",
            f"{peak:,.0f}",
            f"{_ALL_OF_REDDIT / rate / 3600:.1f}",
        )
        table.append(figures)
    print(markdown_table([*header, "peak MB", "core-hours for 3.68 G comments"], table))
    print(f"without start-up: 2 processes {rows[0][2] / rows[1][2]:.2f} times as fast as 1")
    if path:
        keys = ("name", "comments", "wall", "cpu", "peak_mb")
        path.write_text(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2))


if __name__ == "__main__":
    main()
