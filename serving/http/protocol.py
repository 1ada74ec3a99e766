"""uvicorn's HTTP protocol with additional limits on time and on the head of a request.

uvicorn limits only the idle time between two requests. Without further limits a client
that sends nothing, sends its head slowly or without an end, or never reads its response
holds a connection and memory for ever.

A head is collected here and given to the parser when it is complete. Its `Upgrade` fields
are left out, because the server continues with HTTP/1.1 (RFC 9110, section 7.8), but the
parser would not read the body of such a request and would take it for the next request.
"""

import asyncio
import re
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rejoinder.serving.limits import Limits

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_UPGRADE_FIELD = re.compile(rb"\r?\nupgrade[ \t]*:[^\r\n]*", re.IGNORECASE)
# Status and text.
_TOO_LARGE = (431, b"the request's line and header fields are too large")
_INVALID = (400, b"Invalid HTTP request received.")


class _HeadTooLargeError(Exception):
    """The head of a request has too many bytes or fields."""


def bounded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """Returns a protocol class for `uvicorn.Config(http=…)` with these limits."""

    class BoundedProtocol(HttpToolsProtocol):
        """Closes connections whose client is too slow or sends too large a head."""

        _header_timer: asyncio.TimerHandle | None = None
        _send_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._head = bytearray()
            self._in_message = False  # the parser has begun a request and not finished it
            self._in_head = False  # of that request
            self._head_bytes = 0
            self._refused = False
            if len(self.connections) > limits.max_connections:
                transport.abort()
                return
            self._await_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_header_timer()
            self._stop_send_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._refused or self.transport.is_closing():
                return
            if not self._in_message:
                self._unset_keepalive_if_required()
                if self._header_timer is None:
                    self._await_headers()
                data = self._take_head(data)
            elif self._in_head:
                self._head_bytes += len(data)
            if self._head_bytes > limits.max_header_bytes:
                self._refuse(*_TOO_LARGE)
            elif data:
                self._feed(data)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._in_message = self._in_head = True
            self._field_bytes = 0
            if self._header_timer is None:
                self._await_headers()

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            # The bytes, too: a pipelined request may arrive in one piece with the one before.
            self._field_bytes += len(name) + len(value)
            if (
                len(self.headers) > limits.max_headers
                or len(self.url) + self._field_bytes > limits.max_header_bytes
            ):
                raise _HeadTooLargeError

        def on_headers_complete(self) -> None:
            self._stop_header_timer()
            self._in_head = False
            self._head_bytes = 0
            if self.parser.should_upgrade():
                # CONNECT, or an Upgrade field in a pipelined request: its body would be unread.
                raise ValueError("the connection cannot change its protocol")
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._in_message = False
            super().on_message_complete()

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

        def _take_head(self, data: bytes) -> bytes:
            """Collects the head of the next request.

            Returns:
                The head without `Upgrade` fields and what follows it, empty while it is
                incomplete.
            """
            self._head += data
            while self._head[:1] in (b"\r", b"\n"):  # allowed before a request
                del self._head[:1]
            end = _END_OF_HEAD.search(self._head)
            self._head_bytes = end.end() if end else len(self._head)
            if end is None and self._head[:1].isalpha():
                return b""
            data = bytes(self._head)
            if end:
                data = _UPGRADE_FIELD.sub(b"", data[: end.end()]) + data[end.end() :]
            self._head.clear()
            return data

        def _feed(self, data: bytes) -> None:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserError as error:
                too_large = isinstance(error.__context__, _HeadTooLargeError)
                self._refuse(*(_TOO_LARGE if too_large else _INVALID))

        def _refuse(self, status: int, text: bytes) -> None:
            """Answers a request whose head cannot be read, and closes the connection.

            If the request before it has no response yet, that response is the last one, so
            that the client does not take this one for it.
            """
            self._head.clear()
            self._refused = True
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.keep_alive = False
            elif not self.transport.is_closing():
                self.transport.write(
                    STATUS_LINE[status]
                    + b"content-type: text/plain; charset=utf-8\r\n"
                    + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text)
                    + text
                )
                self.transport.close()

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
