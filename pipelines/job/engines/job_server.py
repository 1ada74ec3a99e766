"""The process of an engine that Beam starts for a job: Prism, and job servers of Flink and Spark.

Beam starts such a process itself, but its handler of Ctrl-C waits for a lock that it may
hold (a second Ctrl-C, or one at the end of a job, hangs for ever), and a command that is
killed leaves the process behind. Here the process is started as Beam would start it, and
Beam gets its address as `--job_endpoint`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from apache_beam.options.pipeline_options import JobServerOptions, PipelineOptions, PortableOptions
from apache_beam.runners.portability.job_server import SubprocessJobServer
from apache_beam.runners.portability.portable_runner import PortableRunner

from rejoinder.errors import UserError

_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_CLOSE_SECONDS = 4.0
_MISSING = 127


class EngineProcess:
    """A running engine.

    Attributes:
        name: Name of the runner.
    """

    def __init__(self, name: str, command: Sequence[Any], folder: str) -> None:
        """Starts the engine and returns at once.

        Args:
            name: Name of the runner.
            command: The engine's command line.
            folder: Folder of its temporary files; it is removed with the process.
        """
        self.name = name
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this object)
        self._connection, other = socket.socketpair()
        self._connection.setblocking(False)
        self._status: int | None = None
        with other:
            descriptor = other.fileno()
            self._supervisor = subprocess.Popen(
                [
                    *(sys.executable, "-m", "rejoinder.pipelines.job.engines.supervisor"),
                    *(str(descriptor), folder, *map(str, command)),
                ],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,  # the terminal's Ctrl-C reaches the command alone
            )

    def wait_until_it_listens(self, endpoint: str) -> None:
        """Waits for the engine's job service.

        Raises:
            UserError: The engine ended, or does not listen after 60 s.
        """
        host, port = endpoint.rsplit(":", 1)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if error := self.death_error():
                raise error
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1.0):
                return
            time.sleep(_POLL_SECONDS)
        raise UserError(
            f"--runner {self.name}: its process did not listen within {_START_SECONDS:.0f} s; "
            f"it printed: {self._last_line()}"
        )

    def death_error(self) -> UserError | None:
        """Returns the error of an engine that ended by itself; None while it runs."""
        if self._status is None:
            with contextlib.suppress(OSError):
                self._status = int(self._connection.recv(16) or b"-9")
        if self._status is None:
            return None
        if self._status == _MISSING:
            return UserError(f"--runner {self.name}: cannot be started ({self._last_line()})")
        if self._status == -signal.SIGKILL:
            return UserError(
                f"--runner {self.name}: its process was killed (signal 9), as the system does "
                "when memory runs out; leave --runner out to run on this machine with less memory"
            )
        how = f"signal {-self._status}" if self._status < 0 else f"exit status {self._status}"
        return UserError(
            f"--runner {self.name}: its process ended ({how}): {self._last_line() or 'no output'}"
        )

    def output(self) -> str:
        """Returns what the engine has printed."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def _last_line(self) -> str:
        return next((line for line in reversed(self.output().splitlines()) if line.strip()), "")

    def close(self) -> None:
        """Ends the engine and waits for its end."""
        self._connection.close()
        try:
            self._supervisor.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._supervisor.pid, signal.SIGKILL)
            self._supervisor.wait()


@contextlib.contextmanager
def started(name: str, runner: object, options: PipelineOptions) -> Iterator[EngineProcess | None]:
    """Starts the process that a runner needs, and ends it when the context is left.

    Args:
        name: Name of the runner.
        runner: Beam's runner object.
        options: The pipeline's options; `job_endpoint` is set to the address of the process.

    Yields:
        The process, None if the runner needs none.

    Raises:
        UserError: The process cannot be started.
    """
    portable = options.view_as(PortableOptions)
    if not isinstance(runner, PortableRunner) or portable.job_endpoint:
        yield None
        return
    folder = tempfile.mkdtemp(prefix="rejoinder-engine-")
    try:
        servers = options.view_as(JobServerOptions)
        servers.artifacts_dir = servers.artifacts_dir or os.path.join(folder, "artifacts")
        server = getattr(runner.default_job_server(options), "_job_server", None)
        if not isinstance(server, SubprocessJobServer):  # Beam talks to the cluster's own service
            yield None
            return
        command, endpoint = server.subprocess_cmd_and_endpoint()
        with contextlib.closing(EngineProcess(name, command, folder)) as process:
            process.wait_until_it_listens(endpoint)
            portable.job_endpoint = endpoint
            yield process
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # nothing is in it if no process was started
