"""Ctrl-C, SIGTERM and SIGHUP: every command ends within seconds, with one line.

The first signal raises `Interrupted` in the main thread, so that `finally` blocks run.
Libraries lose such an exception or turn it into another one: Beam wraps it into a
`RuntimeError`, and Python drops it in a finalizer. `rejoinder.cli.run` therefore asks
`received()`, a dropped exception is raised again, and a process that has not ended
after `SECONDS` is ended. Further signals are ignored, so that they do not interrupt
the clean-up.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

SECONDS = 6.0  # time for the clean-up
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_RAISE_AGAIN_SECONDS = 0.05

_received = 0
_dropped = False
_exit_at_once = 0  # depth of open `exit_at_once()` contexts
_status: int | None = None  # of a command that has done its work


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end; the text is the line that the command prints."""


def install() -> None:
    """Handles the signals from now on, except those that the parent process ignores (`nohup`)."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may set handlers
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)
    sys.unraisablehook = _unraisable


def received() -> int:
    """Returns the number of the first signal, 0 before."""
    return _received


@contextlib.contextmanager
def exit_at_once() -> Iterator[None]:
    """Inside, a signal ends the process without an exception.

    For imports, which take seconds: an exception inside one may be dropped or printed,
    and nothing has to be cleaned up.
    """
    global _exit_at_once
    _exit_at_once += 1
    try:
        yield
    finally:
        _exit_at_once -= 1


def finished(status: int) -> None:
    """From now on a signal ends the process with this status: the command has done its work."""
    global _status
    _status = status


def end_process(line: str = "interrupted") -> NoReturn:
    """Prints a line and ends the process with 128 + the signal's number.

    Does not wait for threads: some of Beam's never end after an interrupt.
    """
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())
    os._exit(128 + _received)


def _handle(number: int, frame: FrameType | None) -> None:
    global _received, _dropped
    if _status is not None:
        os._exit(_status)
    if _received and not _dropped:
        return
    if not _received:
        _received = number
        if _exit_at_once:
            end_process()
        threading.Thread(target=_end_after_limit, daemon=True).start()
    _dropped = False
    raise Interrupted("interrupted")


def _end_after_limit() -> None:
    time.sleep(SECONDS)
    end_process()


def _unraisable(unraisable: Any) -> None:
    """Raises a dropped `Interrupted` again; reports any other exception as Python does."""
    global _dropped
    if _received and isinstance(unraisable.exc_value, Interrupted):
        _dropped = True
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(_RAISE_AGAIN_SECONDS, lambda: signal.pthread_kill(main, _received)).start()
    else:
        sys.__unraisablehook__(unraisable)
