"""A real server in its own process, over a model small enough to load in seconds."""

import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class RunningServer:
    """A server process and where it listens."""

    process: subprocess.Popen
    base: Path
    url: str = ""
    grpc: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def stop(self) -> int:
        """Asks the server to drain and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    from models.saved_model.testing import publish_tiny

    base = tmp_path_factory.mktemp("exports") / "tiny"
    publish_tiny(base)
    return base


def start_server(base: Path, *options: str, env: dict[str, str] | None = None) -> RunningServer:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "serving.server", "--model", f"tiny={base}"),
            *("--port", "0", "--grpc-port", "0", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
    )
    server = RunningServer(process, base)
    for line in process.stdout:
        server.lines.append(line)
        if match := re.match(r"gRPC on (\S+)", line):
            server.grpc = match[1]
        if match := re.match(r"HTTP on (\S+)/", line):
            server.url = match[1]
            break
    else:
        raise RuntimeError(f"the server did not start:\n{server.log}")
    threading.Thread(target=lambda: server.lines.extend(process.stdout), daemon=True).start()
    return server


@pytest.fixture(scope="session")
def start():
    """Returns a function that starts a server of its own, for the test to stop."""
    return start_server


@pytest.fixture(scope="session")
def server(tiny_base):
    """The shared server, default limits but a short limit on texts."""
    running = start_server(tiny_base, "--label", "tiny:stable=1", "--max-items", "64")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def vectors():
    """Returns a function: texts → the embeddings that the encoder itself gives."""
    import tensorflow as tf

    from models.saved_model.testing import TinyEncoder, TinyTokenizer

    def encode(texts, seed=0):
        tokens = TinyTokenizer()(tf.constant(texts), max_length=32)
        return TinyEncoder(seed)({"token_ids": tokens.ids.to_tensor(1)}).numpy()

    return encode
