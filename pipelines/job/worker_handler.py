"""Connects Beam's local runner with the worker processes of `rejoinder.pipelines.job.workers`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
from apache_beam.transforms import environments
from google.protobuf import text_format

from rejoinder.pipelines.job.workers import WorkerServer

_URN = "rejoinder:env:forked_worker:v1"
# The log goes to the server's output, which is shown only for a bug.
_WORKER_OPTIONS = json.dumps({"default_sdk_harness_log_level": "ERROR"})
_servers: list[WorkerServer] = []  # of the running pipeline


@environments.Environment.register_urn(_URN, bytes)
class ForkedWorkers(environments.Environment):
    """The environment of a pipeline whose workers a `WorkerServer` starts."""

    def to_runner_api_parameter(self, context: Any) -> tuple[str, bytes]:
        """Returns the URN by which Beam finds `ForkedWorkerHandler`."""
        return _URN, b""

    @staticmethod
    def from_runner_api_parameter(
        payload: bytes,
        capabilities: Iterable[str],
        artifacts: Iterable[Any],
        resource_hints: Mapping[str, bytes],
        context: Any,
    ) -> "ForkedWorkers":
        """Restores the environment."""
        return ForkedWorkers(capabilities, artifacts, resource_hints)


@worker_handlers.WorkerHandler.register_environment(_URN, bytes)
class ForkedWorkerHandler(worker_handlers.GrpcWorkerHandler):
    """Starts one worker; `WorkerServer.close` stops it."""

    def __init__(self, payload: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)

    def start_worker(self) -> None:
        """Requests a worker; it connects when it has started."""
        control = endpoints_pb2.ApiServiceDescriptor(url=self.control_address)
        _servers[-1].start_worker(
            {
                "WORKER_ID": self.worker_id,
                "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(control),
                "PIPELINE_OPTIONS": _WORKER_OPTIONS,
            }
        )

    def stop_worker(self) -> None:
        """Does nothing: the end of its control stream ends the worker."""


def create_runner(server: WorkerServer) -> FnApiRunner:
    """Returns a local runner whose workers come from a server, one runner at a time."""
    _servers[:] = [server]
    environment = ForkedWorkers(capabilities=environments.python_sdk_capabilities())
    return FnApiRunner(default_environment=environment)
