"""Ctrl-C, SIGTERM and SIGHUP: every command ends within seconds, with one line.

The first signal raises `Interrupted` in the main thread, so that `finally` blocks run.
Libraries lose such an exception or turn it into another one: Beam wraps it into a
`RuntimeError`, and Python drops it in a finalizer. `rejoinder.cli.run` therefore asks
`received()`, and a thread watches the signals: it wakes up the main thread if the kernel
gave the signal to another one, raises a dropped exception again, and ends a process that
has not ended after `SECONDS`. Further signals are ignored, so that they do not interrupt
the clean-up.
"""

import atexit
import contextlib
import functools
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
    _start_watcher()
    atexit.register(_ignore)  # registered before the libraries' functions, so it runs after them


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
    _dropped = False
    raise Interrupted("interrupted")


@functools.cache  # once in a process
def _start_watcher() -> None:
    """Starts the thread of `_watch`; the main thread calls it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    main = threading.get_ident()
    threading.Thread(target=_watch, args=(reader, main), daemon=True).start()


def _watch(reader: int, main: int) -> None:
    """Waits for a signal that `_handle` handles; ends the process after `SECONDS`.

    Python runs `_handle` in the main thread only, which may wait for a lock without an end:
    a signal that the kernel gives to another thread does not wake it up.

    Args:
        reader: The end of the pipe in which Python writes the number of each signal.
        main: The main thread's identifier.
    """
    global _received
    number = 0
    while not number:
        numbers = os.read(reader, 64)
        number = next((n for n in numbers if signal.getsignal(n) is _handle), 0)
    signal.pthread_kill(main, number)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(_RAISE_AGAIN_SECONDS)
        # A signal that arrives just before the main thread begins to wait does not wake it up.
        if _dropped or not _received:
            signal.pthread_kill(main, number)
    if _status is not None:
        os._exit(_status)
    _received = _received or number
    end_process()


def _ignore() -> None:
    """Ignores the signals: Python gives them their default action, death, while it ends."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_IGN)


def _unraisable(unraisable: Any) -> None:
    """Has a dropped `Interrupted` raised again; reports any other exception as Python does."""
    global _dropped
    if _received and isinstance(unraisable.exc_value, Interrupted):
        _dropped = True
    else:
        sys.__unraisablehook__(unraisable)
