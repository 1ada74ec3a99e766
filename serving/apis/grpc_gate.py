"""Reads gRPC messages and runs their handlers within all limits, as `http.gate` does for HTTP.

gRPC's own handlers receive and parse a message before any check. These check the key
first, then wait for a turn to receive, and parse last. A message has no announced
size, so the largest allowed one is reserved until it has arrived; few are received at
the same time, so that these reservations leave room for other requests.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from rejoinder.serving.errors import Code, ServingError, invalid, log_failure
from rejoinder.serving.inflight import InflightBytes
from rejoinder.serving.limits import Limits
from rejoinder.serving.observation import Observation
from rejoinder.serving.service import Service

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPEN_READERS = 8  # of a service that needs no key; its messages are small


class MessageReader:
    """Receives messages of one service. Use it from one event loop only."""

    def __init__(self, limits: Limits, inflight: InflightBytes, readers: int):
        """Creates a reader.

        Args:
            limits: Bounds on the size of a message and the time until it has arrived.
            inflight: Counts the messages' bytes.
            readers: Messages that are received at the same time; others wait.
        """
        self._seconds = limits.body_seconds
        self._largest = min(limits.max_body_bytes, limits.max_inflight_bytes)
        self._inflight = inflight
        self._turns = asyncio.Semaphore(readers)

    @asynccontextmanager
    async def read(self, context: Any) -> AsyncIterator[bytes | None]:
        """Receives a message, which counts as in flight inside the context.

        Args:
            context: The call's grpc.aio.ServicerContext; its handler has no deserializer.

        Yields:
            The message, or None if the client has ended its messages.

        Raises:
            ServingError: Too many bytes are in flight, or the message takes too long.
        """
        reserved = 0
        try:
            try:
                async with asyncio.timeout(self._seconds), self._turns:
                    self._inflight.reserve(self._largest)
                    reserved = self._largest
                    message = await context.read()
            except TimeoutError:
                raise ServingError(
                    Code.DEADLINE_EXCEEDED,
                    f"the message was not read within {self._seconds:g} seconds",
                ) from None
            data = None if message is grpc.aio.EOF else message
            size = len(data or b"")
            self._inflight.release(reserved)
            reserved = 0
            self._inflight.reserve(size)
            reserved = size
            yield data
        finally:
            self._inflight.release(reserved)


@dataclass(frozen=True)
class UnaryMethod:
    """A method that takes one message and returns one.

    Attributes:
        label: Name of the method in metrics.
        request: Type of the message that it takes.
        response: Type of the message that it returns.
        run: Takes the request and returns the response.
    """

    label: str
    request: type[Message]
    response: type[Message]
    run: Callable[[Any], Awaitable[Message]]


class GrpcGate:
    """Checks, limits and counts the calls of one service."""

    def __init__(self, service: Service, *, guarded: bool = True):
        """Creates a gate.

        Args:
            service: The parts of the server.
            guarded: Whether calls need a key.
        """
        self._service = service
        self._guarded = guarded
        limits = service.limits
        readers = max(1, limits.max_inflight_bytes // 4 // limits.max_body_bytes)
        self._reader = MessageReader(
            limits, service.inflight, readers if guarded else _OPEN_READERS
        )

    def unary(self, method: UnaryMethod) -> grpc.RpcMethodHandler:
        """Returns the handler of a method, for a server."""

        async def read_and_run(context: grpc.aio.ServicerContext) -> Message:
            self._check_key(context)
            async with self._reader.read(context) as data:
                return await method.run(parse(method.request, data))

        async def call(_: Any, context: grpc.aio.ServicerContext) -> Message:
            outcome = self._outcome(method.label, context)
            with outcome:
                return await read_and_run(context)
            return await outcome.abort()

        # "stream", because gRPC receives the message of a unary call before it calls anything.
        return grpc.stream_unary_rpc_method_handler(call, None, _serialize)

    def stream(
        self,
        label: str,
        run: Callable[[AsyncIterator[bytes]], AsyncIterator[Message]],
    ) -> grpc.RpcMethodHandler:
        """Returns the handler of a method that takes and returns any number of messages.

        Args:
            label: Name of the method in metrics.
            run: Takes the messages in wire format.
        """

        async def messages(context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            while True:
                async with self._reader.read(context) as data:
                    if data is None:
                        return
                    yield data

        async def call(_: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Message]:
            outcome = self._outcome(label, context)
            with outcome:
                self._check_key(context)
                async for answer in run(messages(context)):
                    yield answer
            await outcome.abort()

        return grpc.stream_stream_rpc_method_handler(call, None, _serialize)

    def _check_key(self, context: grpc.aio.ServicerContext) -> None:
        if self._guarded:
            metadata = dict(context.invocation_metadata() or ())
            self._service.keys.check(str(metadata.get("authorization", "")))

    def _outcome(self, label: str, context: grpc.aio.ServicerContext) -> "_Outcome":
        metadata = dict(context.invocation_metadata() or ())
        headers = {name: value for name, value in metadata.items() if isinstance(value, str)}
        service = self._service
        observation = Observation(service.metrics, service.tracing, f"grpc_{label}", headers)
        return _Outcome(observation, context)


class _Outcome:
    """Counts a call, and keeps its error as a gRPC status.

    gRPC ends a failed call by an exception that it keeps, with all variables of the
    functions on its way, until the next full garbage collection. So `abort` is called
    only after the request's own functions have ended: else messages would pile up.
    """

    def __init__(self, observation: Observation, context: grpc.aio.ServicerContext):
        self._observation = observation
        self._context = context
        self._status = grpc.StatusCode.OK
        self._message = ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        code = "OK"
        if isinstance(error, ServingError):
            code = error.code.name
            if error.code is Code.INTERNAL and error.__cause__ is not None:
                log_failure(error.__cause__)
            if retry := error.headers.get("Retry-After"):
                self._context.set_trailing_metadata((("retry-after", retry),))
            self._status, self._message = _CODES[error.code.grpc], error.message
        elif isinstance(error, Exception):
            code = "INTERNAL"
            log_failure(error)
            self._status, self._message = grpc.StatusCode.INTERNAL, "internal error"
        elif error is not None:
            code = "CANCELLED"
        self._observation.finish(code, failed=code == "INTERNAL")
        return isinstance(error, Exception)

    async def abort(self) -> Any:
        """Ends a failed call with its status."""
        if self._status is not grpc.StatusCode.OK:
            await self._context.abort(self._status, self._message)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def parse(kind: type[Message], data: bytes | None) -> Any:
    """Returns the message in `data`, which is in wire format.

    Raises:
        ServingError: There is no message, or it is malformed.
    """
    if data is None:
        raise invalid("the call has no message")
    try:
        return kind.FromString(data)
    except DecodeError:
        raise invalid(f"the message is not a {kind.DESCRIPTOR.full_name}") from None
