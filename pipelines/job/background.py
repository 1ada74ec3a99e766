"""Runs Beam in a daemon thread, so that the main thread is free for signals."""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import grpc

Result = TypeVar("Result")

_POLL_SECONDS = 0.2


class Background(Generic[Result]):
    """A function that runs in a daemon thread, which nobody joins after an interrupt."""

    def __init__(self, function: Callable[[], Result]) -> None:
        """Starts the thread."""
        self._outcome: queue.SimpleQueue[tuple[Result | None, BaseException | None]]
        self._outcome = queue.SimpleQueue()
        threading.Thread(target=self._run, args=(function,), daemon=True).start()

    def _run(self, function: Callable[[], Result]) -> None:
        try:
            self._outcome.put((function(), None))
        except BaseException as error:
            self._outcome.put((None, error))

    def wait(self, failure: Callable[[], BaseException | None] | None = None) -> Result:
        """Returns the function's result, or raises its exception.

        It wakes up regularly, because a signal does not always interrupt a wait without an
        end, not even one that is sent to this thread.

        Args:
            failure: Returns the exception that ends the wait without an outcome, or None as
                long as an outcome can still come.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                result, error = self._outcome.get(timeout=_POLL_SECONDS)
                if error is not None:
                    raise error
                return result  # type: ignore[return-value]  # None if the function returns it
            if failure is not None and (failed := failure()) is not None:
                raise failed


def ignore_lost_connections() -> None:
    """Keeps threads that lose their connection from printing a traceback.

    Beam's threads for the connections with workers and engines end in this way after every
    job; whoever waits for the job reports the loss that matters.
    """
    threading.excepthook = _report_unless_disconnected


def _report_unless_disconnected(arguments: threading.ExceptHookArgs) -> None:
    if not isinstance(arguments.exc_value, grpc.RpcError):
        threading.__excepthook__(arguments)
