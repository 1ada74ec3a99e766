"""The process that starts an engine's process, and ends it when the command is gone.

    python -m rejoinder.pipelines.job.engines.supervisor FD FOLDER COMMAND…

The command holds the other end of a socket. The kernel closes it with the command, also
after kill -9; then this process ends the engine, all processes that the engine started,
and itself, and removes the folder of their temporary files. It knows the engine as its
own child, so that no other process can be meant.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

_POLL_SECONDS = 0.1
_TERMINATE_SECONDS = 2.0


def main(arguments: Sequence[str]) -> None:
    """Supervises one engine.

    Args:
        arguments: The descriptor of the socket, the engine's folder for temporary files, and
            the engine's command. The exit status of an engine that ends by itself is written
            to the socket, as `subprocess` returns it; 127 stands for one that cannot start.
    """
    descriptor, folder, *command = arguments
    with socket.socket(fileno=int(descriptor)) as connection:
        status = _supervise(connection, folder, command)
        with contextlib.suppress(OSError):
            connection.sendall(str(status).encode())
    shutil.rmtree(folder, ignore_errors=True)
    if os.getpid() == os.getpgrp():  # the command started it in a session of its own
        os.killpg(0, signal.SIGKILL)  # with the workers that the engine started


def _supervise(connection: socket.socket, folder: str, command: Sequence[str]) -> int:
    try:
        engine = subprocess.Popen(command, env=os.environ | {"TMPDIR": folder})
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return 127
    while engine.poll() is None:
        if select.select([connection], [], [], _POLL_SECONDS)[0]:  # it was closed
            engine.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.wait(_TERMINATE_SECONDS)
            engine.kill()
            engine.wait()
    return engine.returncode


if __name__ == "__main__":
    main(sys.argv[1:])
