"""Reading a request and running its handler, within every limit.

`Gate.endpoint` wraps each handler: it checks the key, reads the body in bounded
time and space, cancels the work when the client leaves, turns errors into the
endpoint's error format, and counts. Nothing of a request is logged.
"""

import asyncio
import hmac
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from rejoinder.serving.errors import Code, ServingError, overloaded
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics

logger = logging.getLogger("rejoinder.serving")
access_logger = logging.getLogger("rejoinder.access")

Handler = Callable[[Request, bytes], Awaitable[Response]]
ErrorFormat = Callable[[ServingError], bytes]
_CLIENT_CLOSED_REQUEST = 499


class Gate:
    """What stands between the network and the handlers."""

    def __init__(self, limits: Limits, metrics: Metrics, keys: Sequence[str]):
        """Makes a gate; with `keys`, guarded endpoints need one of them as bearer token."""
        self._limits = limits
        self._metrics = metrics
        self._keys = [key.encode() for key in keys]
        self._inflight_bytes = 0

    def endpoint(
        self, name: str, handler: Handler, *, format_error: ErrorFormat, guarded: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        """Wraps a handler as a Starlette endpoint, labelled `name` in metrics."""

        async def endpoint(request: Request) -> Response:
            start = time.monotonic()
            self._metrics.inflight.inc()
            try:
                if guarded:
                    self.check_key(request.headers.get("authorization", ""))
                response = await self._read_and_run(request, handler)
            except ServingError as error:
                response = self._error(error, format_error)
            except Exception as error:
                log_failure(error)
                failure = ServingError(Code.INTERNAL, "internal error")
                response = self._error(failure, format_error)
            finally:
                self._metrics.inflight.dec()
            seconds = time.monotonic() - start
            self._metrics.requests.labels(name, str(response.status_code)).inc()
            self._metrics.seconds.labels(name).observe(seconds)
            access_logger.info("%s %d %.1f ms", name, response.status_code, seconds * 1000)
            return response

        return endpoint

    def check_key(self, authorization: str) -> None:
        """Raises ServingError (401) unless the header carries a key, if any is set."""
        if not self._keys:
            return
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode()
        # Compares with every key, in constant time each.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if scheme.lower() != "bearer" or not any(matches):
            self._metrics.rejected.labels("key").inc()
            raise ServingError(
                Code.UNAUTHENTICATED,
                "a valid key is needed: Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer", "Connection": "close"},
            )

    async def _read_and_run(self, request: Request, handler: Handler) -> Response:
        reserved = 0

        def reserve(count: int) -> None:
            nonlocal reserved
            if self._inflight_bytes + count > self._limits.max_inflight_bytes:
                self._metrics.rejected.labels("inflight_bytes").inc()
                raise overloaded("server is reading too many requests", retry_after=1)
            self._inflight_bytes += count
            reserved += count

        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    body = await self._read_body(request, reserve)
            except TimeoutError:
                self._metrics.rejected.labels("slow_body").inc()
                raise ServingError(
                    Code.REQUEST_TIMEOUT,
                    f"the body took longer than {self._limits.body_seconds:g} seconds",
                    headers={"Connection": "close"},
                ) from None
            if body is None:
                return Response(status_code=_CLIENT_CLOSED_REQUEST)
            return await self._run(request, handler(request, body))
        finally:
            self._inflight_bytes -= reserved

    async def _read_body(self, request: Request, reserve: Callable[[int], None]) -> bytes | None:
        """Returns the body, or None if the client left before its end."""
        declared = request.headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and len(declared) < 20:
            self._check_size(int(declared))
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            self._check_size(size)
            reserve(len(chunk))
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            self._metrics.rejected.labels("body").inc()
            raise ServingError(
                Code.PAYLOAD_TOO_LARGE,
                f"the body is larger than {self._limits.max_body_bytes} bytes",
                headers={"Connection": "close"},
            )

    async def _run(self, request: Request, work: Awaitable[Response]) -> Response:
        """Runs the handler until it is done, too slow, or its client is gone."""
        task = asyncio.ensure_future(work)
        # After the body, the next message can only be the disconnect.
        gone: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait(
                {task, gone},
                timeout=self._limits.request_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if gone.done():
                return Response(status_code=_CLIENT_CLOSED_REQUEST)
            self._metrics.rejected.labels("slow_request").inc()
            raise ServingError(
                Code.DEADLINE_EXCEEDED,
                f"the request took longer than {self._limits.request_seconds:g} seconds",
            )
        finally:
            task.cancel()
            gone.cancel()

    @staticmethod
    def _error(error: ServingError, format_error: ErrorFormat) -> Response:
        if error.code is Code.INTERNAL and error.__cause__ is not None:
            log_failure(error.__cause__)
        return Response(
            format_error(error),
            status_code=error.code.http,
            headers=error.headers,
            media_type="application/json",
        )


def log_failure(error: BaseException) -> None:
    """Logs where a bug struck, without its message: that may quote a request."""
    places = "".join(traceback.format_tb(error.__traceback__))
    logger.error("internal error: %s\n%s", type(error).__name__, places)
