"""The process that forks Beam's worker processes.

    python -m rejoinder.pipelines.job.worker_server FD MODULE…

It imports the modules once, and every worker begins as a copy of it: starting a worker
then takes milliseconds instead of the seconds that Beam and TensorFlow need. It only
imports: no thread that a library starts for its first operation would survive a fork.
All processes end with the command, also after kill -9.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import NoReturn

from rejoinder.pipelines.job import heavy_imports, memory

_PR_SET_PDEATHSIG = 1
_REAP_SECONDS = 0.1


def main(arguments: Sequence[str]) -> None:
    """Serves requests that arrive on a file descriptor until its other end is closed.

    Args:
        arguments: The descriptor of a `multiprocessing.Pipe`, the command's process id, and
            the modules to import.
    """
    descriptor, parent, *modules = arguments
    # The terminal sends Ctrl-C to every process; the command decides what happens to this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(int(parent))
    connection = Connection(int(descriptor))
    memory.keep_freed_pages()  # the workers inherit it
    # A collection in a worker does not copy the pages of what was imported, either.
    with heavy_imports.uncollected():
        for module in modules:
            importlib.import_module(module)
    serve(connection)


def die_with(parent: int) -> None:
    """Makes the kernel kill this process when its parent process ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent ended before the call


def serve(connection: Connection) -> None:
    """Forks a worker for each request and reports the exit status of each that ends.

    Requests and reports are JSON. A request is the environment of a worker, with its
    `WORKER_ID`. A report holds `worker`, and `status` as `subprocess` returns it.
    """
    workers: dict[int, str] = {}
    with contextlib.suppress(EOFError, OSError):  # the command closed its end, or is gone
        while True:
            if connection.poll(_REAP_SECONDS):
                environment = json.loads(connection.recv_bytes())
                server = os.getpid()
                pid = os.fork()
                if not pid:
                    connection.close()
                    _run_worker(environment, server)
                workers[pid] = environment["WORKER_ID"]
            for pid, status in _ended(workers):
                report = {"worker": workers.pop(pid), "status": status}
                connection.send_bytes(json.dumps(report).encode())
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    for pid in workers:
        os.waitpid(pid, 0)


def _ended(workers: Mapping[int, str]) -> list[tuple[int, int]]:
    found = []
    for worker in workers:
        pid, status = os.waitpid(worker, os.WNOHANG)
        if pid:
            found.append((pid, os.waitstatus_to_exitcode(status)))
    return found


def _run_worker(environment: Mapping[str, str], server: int) -> NoReturn:
    status = 1
    try:
        die_with(server)
        os.environ.update(environment)
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main([])
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
