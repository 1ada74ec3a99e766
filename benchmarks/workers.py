"""Measures `rejoinder preprocess` with several numbers of workers: the CPU time of each process.

    make bench BENCH=workers ARGS='--input DUMPS --tokenizer FOLDER --workers 1 2 4 8'

The coordinator's time must not grow with the input or the workers, and all corpora must have
the same bytes. Reads /proc, so it runs on Linux only.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rejoinder.corpus.manifest import load_manifest
from rejoinder.machine import find_machine
from rejoinder.tables import markdown_table

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SAMPLE_SECONDS = 0.1


class Process(NamedTuple):
    """A sample of a process: CPU seconds and resident bytes."""

    cpu: float
    memory: int


class Usage:
    """The processes of one command; what a process had used when it was last seen."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}
        self.processes: dict[int, Process] = {}
        self.most_memory = 0  # bytes of all processes together that are not shared

    def sample(self, root: int) -> None:
        """Reads the state of a process and of all below it."""
        parents, alive = {}, {}
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    fields = Path(entry.path, "stat").read_text().rsplit(")", 1)[1].split()
                    pages = Path(entry.path, "statm").read_text().split()
                except OSError:
                    continue
                parents[int(entry.name)] = int(fields[1])
                cpu = (int(fields[11]) + int(fields[12])) / _TICKS
                alive[int(entry.name)] = Process(cpu, (int(pages[1]) - int(pages[2])) * _PAGE)
        tree = [root]
        for process in tree:  # grows
            tree += [child for child, parent in parents.items() if parent == process]
        found = {process: alive[process] for process in tree if process in alive}
        self.parents |= {process: parents[process] for process in found}
        self.processes |= {
            process: Process(now.cpu, max(now.memory, self.processes.get(process, now).memory))
            for process, now in found.items()
        }
        self.most_memory = max(self.most_memory, sum(now.memory for now in found.values()))


def run(arguments: argparse.Namespace, workers: int, output: Path) -> tuple[float, Usage, int]:
    """Runs the command; returns its seconds, its processes and its id."""
    command = [sys.executable, "-m", "rejoinder", "preprocess", "--input", *arguments.input]
    command += ["--output", str(output), "--tokenizer", arguments.tokenizer, "--name", "bench"]
    command += ["--quiet", "--workers", str(workers)]
    usage, started = Usage(), time.monotonic()
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            usage.sample(process.pid)
            time.sleep(_SAMPLE_SECONDS)
        seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    return seconds, usage, process.pid


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", nargs="+", required=True, help="dumps")
    parser.add_argument("--tokenizer", required=True, help="Hugging Face tokenizer folder")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    arguments = parser.parse_args()
    machine = find_machine()
    print(f"{machine.cores} cores, {machine.memory / 1e9:.0f} GB, load {os.getloadavg()[0]:.1f}")
    rows, checksums = [], set()
    with tempfile.TemporaryDirectory() as folder:
        for workers in arguments.workers:
            output = Path(folder) / f"corpus-{workers}"
            seconds, usage, root = run(arguments, workers, output)
            checksums.add((output / "COMPLETED").read_bytes())
            lines = sum(entry["lines"] for entry in load_manifest(str(output)).inputs)
            rows.append([str(workers), *describe(lines, seconds, usage, root)])
            print(" | ".join(rows[-1]), flush=True)
            subprocess.run(["rm", "-rf", str(output)], check=True)
    header = ["workers", "comments", "seconds", "comments/s", "CPU s: command", "server"]
    header += ["each worker", "comments per CPU s of all", "private MB: command", "largest worker"]
    print(markdown_table([*header, "all at once"], rows))
    print(f"all files are {'the same' if len(checksums) == 1 else 'DIFFERENT'}; COMPLETED:")
    print(*(hashlib.sha256(content).hexdigest() for content in checksums), sep="\n")


def describe(lines: int, seconds: float, usage: Usage, root: int) -> list[str]:
    """Returns the figures of one run.

    The command starts one server, and the server forks the workers.
    """
    servers = [process for process, parent in usage.parents.items() if parent == root]
    workers = [process for process, parent in usage.parents.items() if parent in servers]
    cpu = {process: sample.cpu for process, sample in usage.processes.items()}
    memory = {process: sample.memory / 1e6 for process, sample in usage.processes.items()}
    return [
        f"{lines:,}",
        f"{seconds:.1f}",
        f"{lines / seconds:,.0f}",
        f"{cpu[root]:.1f}",
        f"{sum(cpu[process] for process in servers):.1f}",
        " ".join(f"{cpu[process]:.1f}" for process in sorted(workers)) or "-",
        f"{lines / sum(cpu.values()):,.0f}",
        f"{memory[root]:,.0f}",
        f"{max((memory[process] for process in workers), default=0):,.0f}",
        f"{usage.most_memory / 1e6:,.0f}",
    ]


if __name__ == "__main__":
    main()
