"""The start and the end of every command: exit statuses, signals, and errors in one line."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable

from rejoinder import interrupts
from rejoinder.errors import UserError


def run(main: Callable[[], int | None]) -> None:
    """Runs `main` and exits the process with its status.

    `UserError` becomes one line on standard error and status 1. Ctrl-C, SIGTERM and
    SIGHUP become one line and status 128 + the signal's number, as shells report it:
    130, 143, 129. A closed pipe, as in `rejoinder inspect CORPUS | head`, ends the
    process quietly with status 141 (128 + SIGPIPE). Anything else is a bug and keeps
    its traceback.
    """
    _open_closed_streams()  # before anything opens a file
    interrupts.install()
    status = 0
    try:
        status = main() or 0
        sys.stdout.flush()
    except BaseException as error:
        if interrupts.received():
            interrupts.end_process(_interrupted_line(error))
        if isinstance(error, KeyboardInterrupt):  # sent by something else than a signal
            _print_error("interrupted")
            status = 130
        elif isinstance(error, UserError):
            _print_error(f"error: {error}")
            status = 1
        elif isinstance(error, BrokenPipeError):
            # The interpreter flushes standard output once more as it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            status = 141
        elif isinstance(error, OSError) and error.errno == errno.ENOSPC and not error.filename:
            # Every file that a command writes has a name in its errors; a stream has none.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            _print_error(f"error: standard output: cannot be written ({error.strerror})")
            status = 1
        else:
            raise
    if interrupts.received():
        interrupts.end_process()
    interrupts.finished(status)
    sys.exit(status)


def _interrupted_line(error: BaseException) -> str:
    return str(error) if isinstance(error, interrupts.Interrupted) else "interrupted"


def _print_error(line: str) -> None:
    with contextlib.suppress(OSError):  # standard error is closed
        print(line, file=sys.stderr, flush=True)


def _open_closed_streams() -> None:
    """Opens the null device for standard streams that the parent process closed (`>&-`).

    Otherwise the next file that is opened gets the number of the stream, and what
    libraries print is written into that file.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free number
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
