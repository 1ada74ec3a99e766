"""gRPC's server reflection: descriptors of the services, for grpcurl and similar tools.

It answers without a key, as `/openapi.json` does.
"""

from collections.abc import AsyncIterator, Mapping

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from rejoinder.serving.apis.grpc_gate import GrpcGate, UnaryMethod, parse
from rejoinder.serving.service import Service


class ReflectionService:
    """`grpc.reflection.v1alpha.ServerReflection`."""

    def __init__(self, service: Service, described: Mapping[str, Mapping[str, UnaryMethod]]):
        """Creates the service.

        Args:
            service: The parts of the server.
            described: Full name of each service → name of each method → the method.
        """
        self._answers = reflection.aio.ReflectionServicer(
            [*described, health.SERVICE_NAME, reflection.SERVICE_NAME], pool=_pool(described)
        )
        # Python's pool does not find methods, which grpcurl and ghz ask for.
        self._services = {f"{name}.{each}": name for name in described for each in described[name]}
        gate = GrpcGate(service, guarded=False)
        self.handler = grpc.method_handlers_generic_handler(
            reflection.SERVICE_NAME,
            {"ServerReflectionInfo": gate.stream("reflection", self._reflect)},
        )

    def _reflect(
        self, messages: AsyncIterator[bytes]
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        requests = (self._request(message) async for message in messages)
        return self._answers.ServerReflectionInfo(requests, None)

    def _request(self, message: bytes) -> reflection_pb2.ServerReflectionRequest:
        request = parse(reflection_pb2.ServerReflectionRequest, message)
        if service := self._services.get(request.file_containing_symbol):
            request.file_containing_symbol = service
        return request


def _pool(described: Mapping[str, Mapping[str, UnaryMethod]]) -> DescriptorPool:
    """Returns a pool with the services and all types that they use.

    The modules of tensorflow-serving-api that would describe the services cannot be
    imported: they were generated for an older release of protobuf.
    """
    pool = DescriptorPool()
    for described_file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        _add(pool, described_file)
    for full_name, methods in described.items():
        package, _, name = full_name.rpartition(".")
        file = FileDescriptorProto(name=f"{full_name}.proto", package=package, syntax="proto3")
        found = file.service.add(name=name)
        for method_name, method in methods.items():
            request, response = method.request.DESCRIPTOR, method.response.DESCRIPTOR
            for used in (request.file, response.file):
                _add(pool, used)
                if used.name not in file.dependency:
                    file.dependency.append(used.name)
            found.method.add(
                name=method_name,
                input_type=f".{request.full_name}",
                output_type=f".{response.full_name}",
            )
        pool.Add(file)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor) -> None:
    for dependency in file.dependencies:
        _add(pool, dependency)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    pool.Add(proto)
