"""Graceful shutdown: unready first, then no new connections, then the last answers."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn

from rejoinder.serving.http.app import Readiness

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DrainingServer(uvicorn.Server):
    """uvicorn's server with a delay between "not ready" and "closing".

    A load balancer sees `/ready` fail during the delay and sends its requests
    elsewhere, while those already on their way are still answered. A second
    signal ends the process without waiting.
    """

    def __init__(self, config: uvicorn.Config, readiness: Readiness, *, delay: float):
        """Makes a server that waits `delay` seconds after the first signal."""
        super().__init__(config)
        self._readiness = readiness
        self._delay = delay
        self._exit_at: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles signals; unlike uvicorn's, does not raise them again at the end."""
        previous: dict[int, Any] = {
            number: signal.signal(number, self.handle_exit) for number in _SIGNALS
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts draining, or on a second signal stops at once."""
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
