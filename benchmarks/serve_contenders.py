"""Commands of the servers that `benchmarks.serve --export` compares: ours and its peers.

The peers' packages are older than ours, so they have an environment of their own:
`make setup-serve-peers`.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_PRECISIONS = ("float32", "bfloat16")


class Contender(NamedTuple):
    """A server.

    Attributes:
        name: Its name in the table.
        command: Its command line, without the port.
        precision: In which it computes.
        is_ours: Whether it is this project's.
        folder: In which it is started; None for the current folder.
        alone: Command line of `benchmarks.serve_alone` with the same engine, if there is one.
    """

    name: str
    command: list[str]
    precision: str
    is_ours: bool = False
    folder: str | None = None
    alone: list[str] | None = None


class Running(NamedTuple):
    """A running server.

    Attributes:
        contender: What was started.
        url: Its OpenAI embeddings endpoint.
        pid: Its process id.
    """

    contender: Contender
    url: str
    pid: int


def contenders(args: argparse.Namespace) -> list[Contender]:
    """Returns the servers for which the folders are given, of the precisions asked for."""
    found = []
    if args.export:
        for engine in ("tensorflow", "openvino"):
            for precision in _PRECISIONS:
                found.append(_ours(args, args.export, engine, precision))
    if args.int8_export:
        ours = _ours(args, args.int8_export, "openvino", "bfloat16")
        found.append(ours._replace(name="ours, OpenVINO int8", precision="int8"))
    python = args.peers_python
    if python and args.folder:
        found += [_sentence_transformers(python, args.folder, each) for each in _PRECISIONS]
        found.append(_infinity(python, args.folder, "torch", "infinity, torch", args.model))
    if python and args.onnx:
        found.append(_infinity(python, args.onnx, "optimum", "infinity, ONNX", args.model))
    return [each for each in found if each.precision in args.precisions]


@contextlib.contextmanager
def all_running(found: Sequence[Contender], logs: Path) -> Iterator[list[Running]]:
    """Starts servers one after another, and stops them; yields them once all answer.

    Args:
        found: The servers.
        logs: Folder of their output.
    """
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(_running(each, _free_port(), logs / f"{i}.log"))
            for i, each in enumerate(found)
        ]


class Alone:
    """An engine in a process of its own, `benchmarks.serve_alone`."""

    def __init__(self, command: Sequence[str], log: Path):
        """Starts the process and waits until its model is loaded.

        Args:
            command: Its command line.
            log: File of its errors.
        """
        with log.open("w") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=_environment(),
                text=True,
            )
        while (line := self._read()) != "ready\n":
            if not line:
                raise SystemExit(f"{' '.join(command)}: did not start: {log.read_text()[-2000:]}")

    def seconds(self, texts: Sequence[str]) -> list[float]:
        """Embeds texts one after another; returns the seconds of each."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(texts) + "\n")
        self._process.stdin.flush()
        seconds: list[float] = json.loads(self._read())
        return seconds

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def _running(contender: Contender, port: int, log: Path) -> Iterator[Running]:
    address = f"http://127.0.0.1:{port}"
    with log.open("w") as file:
        process = subprocess.Popen(
            [*contender.command, "--port", str(port)],
            stdout=file,
            stderr=file,
            env=_environment(),
            cwd=contender.folder,
        )
        try:
            _wait(process, contender.name, f"{address}/health", log)
            yield Running(contender, f"{address}/v1/embeddings", process.pid)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _ours(args: argparse.Namespace, export: str, engine: str, precision: str) -> Contender:
    name = {"tensorflow": "TensorFlow", "openvino": "OpenVINO"}[engine]
    options = ["--engine", engine, "--precision", precision]
    return Contender(
        f"ours, {name} {precision}",
        [
            *(sys.executable, "-m", "rejoinder", "serve", "--model", f"{args.model}={export}"),
            *(*options, "--max-queue-seconds", "60"),
        ],
        precision,
        is_ours=True,
        alone=[
            *(sys.executable, "-m", "benchmarks.serve_alone", "ours", "--model", export),
            *options,
        ],
    )


def _sentence_transformers(python: str, folder: str, precision: str) -> Contender:
    serve = [python, "-m", "benchmarks.serve_peer", "--folder", folder, "--backend", "openvino"]
    alone = [python, "-m", "benchmarks.serve_alone", "peer", "--model", folder]
    return Contender(
        f"sentence-transformers, OpenVINO {precision}",
        [*serve, "--precision", precision],
        precision,
        alone=[*alone, "--precision", precision],
    )


def _infinity(python: str, folder: str, engine: str, name: str, model: str) -> Contender:
    return Contender(
        name,
        [
            # With a path, its ONNX engine looks for a file of this path inside the folder.
            *(str(Path(python).absolute().with_name("infinity_emb")), "v2", "--model-id", "."),
            *("--served-model-name", model, "--engine", engine, "--device", "cpu"),
            *("--url-prefix", "/v1", "--no-model-warmup"),
            # Its ONNX engine takes the first token otherwise (OptimumEmbedder of version 0.0.77).
            *("--pooling-method", "mean"),
        ],
        "float32",
        folder=folder,
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    # Nothing is downloaded, and no server reports its use to its makers.
    off = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CI": "1"}
    return {**os.environ, **off}


def _wait(process: subprocess.Popen[bytes], name: str, url: str, log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise SystemExit(f"{name}: did not start: {log.read_text()[-2000:]}")
