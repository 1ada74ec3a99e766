"""Starts `rejoinder serve` as a process of its own, for tests."""

import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class RunningServer:
    """A server process, its addresses, and what it prints.

    Attributes:
        process: the process.
        base: the model's folder of versions.
        url: address of the REST API, without a slash at its end.
        grpc: address of the gRPC API, `host:port`.
        model: the model's name.
        lines: the lines printed so far.
    """

    process: subprocess.Popen[str]
    base: Path
    url: str = ""
    grpc: str = ""
    model: str = "tiny"
    lines: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        """What the server has printed so far."""
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


def start_server(base: Path, *options: str, env: dict[str, str] | None = None) -> RunningServer:
    """Serves the model in `base` as `tiny` on free ports of the loopback.

    It computes in float32, so that it gives the same embeddings on every processor.

    Args:
        base: the model's folder of versions.
        *options: further options of `rejoinder serve`.
        env: further environment variables.

    Returns:
        The server, once its ports accept connections.

    Raises:
        RuntimeError: the server ended before that; the message has its output.
    """
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "rejoinder", "serve", "--model", f"tiny={base}"),
            *("--port", "0", "--grpc-port", "0", "--precision", "float32", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(env or {})},
    )
    assert process.stdout is not None
    output = process.stdout
    server = RunningServer(process, base)
    for line in output:
        server.lines.append(line)
        if match := re.match(r"gRPC on (\S+)", line):
            server.grpc = match[1]
        if match := re.match(r"HTTP on (\S+)/", line):
            server.url = match[1]
            break
    else:
        raise RuntimeError(f"the server did not start:\n{server.log}")
    threading.Thread(target=lambda: server.lines.extend(output), daemon=True).start()
    return server
