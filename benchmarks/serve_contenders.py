"""Commands of the servers that `benchmarks.serve --export` compares: ours and its peers.

The peers' packages are older than ours, so they have an environment of their own:
`make setup-serve-peers`.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PORT = 8590


class Contender(NamedTuple):
    """A server.

    Attributes:
        name: Its name in the table.
        command: Its command line.
        precision: In which it computes.
        is_ours: Whether it is this project's.
        folder: In which it is started; None for the current folder.
    """

    name: str
    command: list[str]
    precision: str
    is_ours: bool = False
    folder: str | None = None


def contenders(args: argparse.Namespace) -> list[Contender]:
    """Returns the servers for which the folders are given."""
    found = []
    if args.export:
        for engine, precision in (
            ("tensorflow", "float32"),
            ("tensorflow", "bfloat16"),
            ("openvino", "float32"),
            ("openvino", "bfloat16"),
        ):
            found.append(_ours(args, args.export, engine, precision))
    if args.int8_export:
        ours = _ours(args, args.int8_export, "openvino", "bfloat16")
        found.append(ours._replace(name="ours, OpenVINO int8", precision="int8"))
    python = args.peers_python
    if python and args.folder:
        serve = [python, "-m", "benchmarks.serve_peer", "--port", str(PORT), "--folder"]
        for precision in ("bfloat16", "float32"):
            found.append(
                Contender(
                    f"sentence-transformers, OpenVINO {precision}",
                    [*serve, args.folder, "--backend", "openvino", "--precision", precision],
                    precision,
                )
            )
        found.append(_infinity(python, args.folder, "torch", "infinity, torch", args.model))
    if python and args.onnx:
        found.append(_infinity(python, args.onnx, "optimum", "infinity, ONNX", args.model))
    return found


@contextlib.contextmanager
def running(contender: Contender, log: Path) -> Iterator[int]:
    """Starts a server and stops it; yields its process id once it answers."""
    with log.open("w") as file:
        process = subprocess.Popen(
            contender.command,
            stdout=file,
            stderr=file,
            env=_environment(),
            cwd=contender.folder,
        )
        try:
            _wait(process, contender.name, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _ours(args: argparse.Namespace, export: str, engine: str, precision: str) -> Contender:
    name = {"tensorflow": "TensorFlow", "openvino": "OpenVINO"}[engine]
    return Contender(
        f"ours, {name} {precision}",
        [
            *(sys.executable, "-m", "rejoinder", "serve", "--model", f"{args.model}={export}"),
            *("--engine", engine, "--precision", precision, "--port", str(PORT)),
            *("--max-queue-seconds", "60"),
        ],
        precision,
        is_ours=True,
    )


def _infinity(python: str, folder: str, engine: str, name: str, model: str) -> Contender:
    return Contender(
        name,
        [
            # With a path, its ONNX engine looks for a file of this path inside the folder.
            *(str(Path(python).absolute().with_name("infinity_emb")), "v2", "--model-id", "."),
            *("--served-model-name", model, "--engine", engine, "--device", "cpu"),
            *("--port", str(PORT), "--url-prefix", "/v1", "--no-model-warmup"),
        ],
        "float32",
        folder=folder,
    )


def _environment() -> dict[str, str]:
    # Nothing is downloaded, and no server reports its use to its makers.
    off = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CI": "1"}
    return {**os.environ, **off}


def _wait(process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise SystemExit(f"{name}: did not start: {log.read_text()[-2000:]}")
