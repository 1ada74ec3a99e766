"""Worker processes of the local runner: forked by one server process, watched, and killed.

Beam's own way starts an interpreter per worker and never notices that one has died
(https://github.com/apache/beam/issues/19674).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe

from rejoinder.errors import UserError
from rejoinder.pipelines.job.runners import RunnerChoice

_BEAM_WORKER = "apache_beam.runners.worker.sdk_worker_main"
# What the workers of a job import.
JOB_MODULES = (
    "rejoinder.pipelines.job.graph",
    "rejoinder.models.tokenizer.tokenizer",
    "tensorflow_text",
)
_CLOSE_SECONDS = 2.0

_prepared: "WorkerServer | None" = None


class WorkerServer:
    """The server process (`rejoinder.pipelines.job.worker_server`).

    Attributes:
        on_death: Called in a thread with the status of a worker, or of the server, that ended
            before `close()`, as `subprocess` returns it: negative for a signal.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        """Starts the server and returns at once.

        Args:
            modules: The modules that workers need, which the server imports.
        """
        self.on_death: Callable[[int], None] = lambda status: None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object)
        self._connection, other = Pipe()
        self._closed = False
        with other:
            descriptor = other.fileno()
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "rejoinder.pipelines.job.worker_server"),
                    *(str(descriptor), str(os.getpid()), *modules),
                ],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def start_worker(self, environment: Mapping[str, str]) -> None:
        """Starts a worker with additional environment variables."""
        with contextlib.suppress(OSError):  # the server is dead, which `_watch` reports
            self._connection.send_bytes(json.dumps(dict(environment)).encode())

    def output(self) -> str:
        """Returns what the server and the workers have printed."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def close(self) -> None:
        """Kills the workers and the server, and waits for their end."""
        self._closed = True
        # `close()` alone would not end a stream that `_watch` is reading.
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(self._connection.fileno())) as stream,
        ):
            stream.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:  # it is importing, and has no workers
            self._process.kill()
            self._process.wait()

    def _watch(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                status = json.loads(self._connection.recv_bytes())["status"]
                if status and not self._closed:  # 0: the end of the job
                    self.on_death(status)
        status = self._process.wait()
        if not self._closed:
            self.on_death(status)


def prepare(runner: RunnerChoice, modules: Sequence[str]) -> None:
    """Starts the server before `take()` needs it, so that it imports beside this process.

    Args:
        runner: Only the local runner with several workers needs a server.
        modules: Further modules that the workers need.
    """
    global _prepared
    if runner.forks_workers and _prepared is None:
        _prepared = WorkerServer([_BEAM_WORKER, *modules])


def take() -> WorkerServer:
    """Returns the prepared server or a new one; the caller closes it."""
    global _prepared
    server, _prepared = _prepared or WorkerServer([_BEAM_WORKER]), None
    return server


def death_error(status: int) -> Exception:
    """Returns the error of a run whose worker ended early.

    Args:
        status: Its exit status as `subprocess` returns it.
    """
    if status == -signal.SIGKILL:
        return UserError(
            "a worker process was killed (signal 9), as the system does when memory runs out; "
            "give fewer --workers, or more buckets with a higher --num-shards"
        )
    if status == -signal.SIGTERM:
        return UserError("a worker process was terminated (signal 15); run the command again")
    how = signal.strsignal(-status) if status < 0 else f"exit status {status}"
    return RuntimeError(f"a worker process ended early: {how}")
