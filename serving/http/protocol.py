"""uvicorn's HTTP protocol with additional timeouts.

uvicorn limits only the idle time between two requests. Without further timeouts, a
client that sends nothing, sends its headers slowly, or never reads its response holds
a connection (and a response in memory) for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rejoinder.serving.limits import Limits


def bounded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Returns a protocol class for `uvicorn.Config(http=…)` with these limits."""

    class BoundedProtocol(HttpToolsProtocol):
        """Closes connections whose client is too slow."""

        _header_timer: asyncio.TimerHandle | None = None
        _send_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                transport.abort()
                return
            self._await_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_header_timer()
            self._stop_send_timer()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._header_timer is None:
                self._await_headers()

        def on_headers_complete(self) -> None:
            self._stop_header_timer()
            super().on_headers_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            # The response waits in our memory until the client receives it.
            self._send_timer = self.loop.call_later(limits.send_seconds, self._abort)

        def resume_writing(self) -> None:
            self._stop_send_timer()
            super().resume_writing()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            # close() waits until the client has received the rest.
            self.loop.call_later(limits.send_seconds, self._abort)

        def _await_headers(self) -> None:
            self._header_timer = self.loop.call_later(limits.header_seconds, self._abort)

        def _stop_header_timer(self) -> None:
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None

        def _stop_send_timer(self) -> None:
            if self._send_timer is not None:
                self._send_timer.cancel()
                self._send_timer = None

        def _abort(self) -> None:
            if self.transport is not None:
                self.transport.abort()

    return BoundedProtocol
