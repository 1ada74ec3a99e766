"""Reads a request and runs its handler within all limits.

`Gate.endpoint` wraps each handler: it checks the key, reads the body with limits on
time and size, cancels the handler when the client disconnects, converts errors to the
endpoint's format, and counts requests. It logs no part of a request.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from rejoinder.serving.apis.error_forms import ErrorForm
from rejoinder.serving.apis.responses import encoded_json_response
from rejoinder.serving.errors import Code, ServingError, invalid, log_failure
from rejoinder.serving.http.compression import compressed
from rejoinder.serving.inflight import InflightBytes
from rejoinder.serving.keys import ApiKeys
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.observation import Observation

if TYPE_CHECKING:
    from rejoinder.serving.tracing import Tracing

Handler = Callable[[Request, bytes], Awaitable[Response]]
_CLIENT_CLOSED_REQUEST = 499
_FIRST_FAILURE = 500


class Gate:
    """Checks, limits and counts the requests of all HTTP endpoints."""

    def __init__(
        self,
        limits: Limits,
        metrics: Metrics,
        keys: ApiKeys,
        inflight: InflightBytes,
        tracing: "Tracing | None" = None,
    ):
        self._tracing = tracing
        self._limits = limits
        self._metrics = metrics
        self._keys = keys
        self._inflight = inflight

    def endpoint(
        self, name: str, handler: Handler, *, form: ErrorForm, guarded: bool = True
    ) -> Callable[[Request], Awaitable[Response]]:
        """Wraps a handler as a Starlette endpoint.

        Args:
            name: Label of the endpoint in metrics and in the access log.
            handler: Takes the request and its body. It may set `request.state.error_form`.
            form: Form of the errors.
            guarded: Whether requests need a key.
        """

        async def endpoint(request: Request) -> Response:
            observation = Observation(self._metrics, self._tracing, name, request.headers)
            status = _CLIENT_CLOSED_REQUEST
            try:
                if guarded:
                    self._keys.check(request.headers.get("authorization", ""))
                response = await self._read_and_run(request, handler)
                response = await compressed(response, request.headers.get("accept-encoding", ""))
                status = response.status_code
            except ServingError as error:
                response = self._error(error, request, form)
                status = response.status_code
            except Exception as error:
                log_failure(error)
                failure = ServingError(Code.INTERNAL, "internal error")
                response = self._error(failure, request, form)
                status = response.status_code
            finally:
                observation.finish(str(status), failed=status >= _FIRST_FAILURE)
            if name != "page":  # its responses are shared by requests
                response.headers["X-Request-Id"] = observation.request_id
            return response

        return endpoint

    async def _read_and_run(self, request: Request, handler: Handler) -> Response:
        reserved = 0

        def reserve(count: int) -> None:
            nonlocal reserved
            self._inflight.reserve(count)
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
                ) from None
            if body is None:
                return Response(status_code=_CLIENT_CLOSED_REQUEST)
            body = self._decoded(request, body, reserve)
            return await self._run(request, handler(request, body))
        finally:
            self._inflight.release(reserved)

    async def _read_body(self, request: Request, reserve: Callable[[int], None]) -> bytes | None:
        """Returns the body, or None if the client disconnected before its end."""
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

    def _decoded(self, request: Request, body: bytes, reserve: Callable[[int], None]) -> bytes:
        """Returns the body without its `Content-Encoding`, within the limits of a body."""
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "identity":
            return body
        if encoding not in ("gzip", "x-gzip"):
            raise ServingError(
                Code.UNSUPPORTED_MEDIA_TYPE,
                f"Content-Encoding {encoding!r} is not supported; use gzip or none",
                headers={"Accept-Encoding": "gzip, identity"},
            )
        inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            # One byte more than allowed shows that the rest is too large.
            decoded = inflate.decompress(body, self._limits.max_body_bytes + 1)
        except zlib.error as error:
            raise invalid(f"the body is not gzip data: {error}") from None
        self._check_size(len(decoded))
        if not inflate.eof or inflate.unused_data:
            raise invalid("the body is not one complete gzip stream")
        reserve(len(decoded))
        return decoded

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_body_bytes:
            self._metrics.rejected.labels("body").inc()
            raise ServingError(
                Code.PAYLOAD_TOO_LARGE,
                f"the body is larger than {self._limits.max_body_bytes} bytes",
            )

    async def _run(self, request: Request, work: Awaitable[Response]) -> Response:
        """Runs the handler until it finishes, times out, or its client disconnects."""
        task = asyncio.ensure_future(work)
        # After the body, the next message can only be the disconnect.
        disconnect: asyncio.Future[Any] = asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait(
                {task, disconnect},
                timeout=self._limits.request_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if disconnect.done():
                return Response(status_code=_CLIENT_CLOSED_REQUEST)
            self._metrics.rejected.labels("slow_request").inc()
            raise ServingError(
                Code.DEADLINE_EXCEEDED,
                f"the request took longer than {self._limits.request_seconds:g} seconds",
            )
        finally:
            task.cancel()
            disconnect.cancel()

    @staticmethod
    def _error(error: ServingError, request: Request, form: ErrorForm) -> Response:
        if error.code is Code.INTERNAL and error.__cause__ is not None:
            log_failure(error.__cause__)
        form = getattr(request.state, "error_form", form)
        return encoded_json_response(
            form.format(error), status=error.code.http, headers=error.headers
        )
