"""gRPC's standard health checks, `grpc.health.v1`, for load balancers and grpc-health-probe.

They answer without a key, as `/ready` does.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc
from grpc_health.v1 import health, health_pb2

from rejoinder.serving.apis.grpc_gate import GrpcGate, UnaryMethod, parse
from rejoinder.serving.errors import Code, ServingError
from rejoinder.serving.service import Service

_WATCH_SECONDS = 0.2  # between two looks at a watched state
_STATE = health_pb2.HealthCheckResponse


class HealthService:
    """`grpc.health.v1.Health`: the state of the server, of each gRPC service, and of each model."""

    def __init__(self, service: Service, services: Sequence[str]):
        """Creates the service.

        Args:
            service: The parts of the server.
            services: Full names of the other gRPC services.
        """
        self._service = service
        self._services = ["", *services]
        gate = GrpcGate(service, guarded=False)
        check = UnaryMethod("health", health_pb2.HealthCheckRequest, _STATE, self._check)
        self.handler = grpc.method_handlers_generic_handler(
            health.SERVICE_NAME,
            {"Check": gate.unary(check), "Watch": gate.stream("health_watch", self._watch)},
        )

    async def _check(
        self, request: health_pb2.HealthCheckRequest
    ) -> health_pb2.HealthCheckResponse:
        state = self._state(request.service)
        if state == _STATE.SERVICE_UNKNOWN:
            message = f"no service or model has the name {request.service}"
            raise ServingError(Code.NOT_FOUND, message)
        return _STATE(status=state)

    async def _watch(
        self, messages: AsyncIterator[bytes]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Yields the state and each change; ends when the server drains, so as not to delay it."""
        request = parse(health_pb2.HealthCheckRequest, await anext(messages, None))
        sent = None
        while self._service.readiness.ready:
            if (state := self._state(request.service)) != sent:
                yield _STATE(status=state)
                sent = state
            await asyncio.sleep(_WATCH_SECONDS)
        yield _STATE(status=self._state(request.service))

    def _state(self, name: str) -> int:
        registry = self._service.registry
        if name in self._services:
            loaded = all(registry.model(model).versions for model in registry.names)
        elif name in registry.names:
            loaded = bool(registry.model(name).versions)
        else:
            return _STATE.SERVICE_UNKNOWN
        return _STATE.SERVING if loaded and self._service.readiness.ready else _STATE.NOT_SERVING
