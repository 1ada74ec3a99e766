"""Graceful shutdown: not ready, then no new connections, then the last responses."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn

from rejoinder.serving.service import Readiness

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DrainingServer(uvicorn.Server):
    """A uvicorn server with a delay between "not ready" and closing the socket.

    During the delay `/ready` fails, so a load balancer stops sending requests, and
    requests that still arrive are served. A second signal ends the process at
    once.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, *, delay: float):
        """Creates a server.

        Args:
            config: uvicorn's configuration.
            readiness: Set to not ready on the first signal.
            delay: Seconds from the first signal to closing the socket.
        """
        super().__init__(config)
        self._readiness = readiness
        self._delay = delay
        self._exit_at: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals; unlike uvicorn, does not raise them again at the end."""
        previous: dict[int, Any] = {
            number: signal.signal(number, self.handle_exit) for number in _SIGNALS
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts draining; a second signal stops at once."""
        if self._exit_at is None:
            self._readiness.ready = False
            self._exit_at = time.monotonic() + self._delay
        else:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second by uvicorn; returns whether to shut down."""
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        return await super().on_tick(counter)
