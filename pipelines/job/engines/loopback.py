"""Workers in this process (`--environment_type LOOPBACK`), reached from this machine only.

Beam's own service for them listens on every network interface, and whoever reaches it can
have this process run any code.
"""

import contextlib
from collections.abc import Iterator

import grpc
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor

_STOP_SECONDS = 1.0


@contextlib.contextmanager
def worker_pool(runner: object, options: PipelineOptions) -> Iterator[bool]:
    """Serves the workers of a pipeline that has them in this process.

    Args:
        runner: Beam's runner object.
        options: The pipeline's options; LOOPBACK is replaced by the address of the service.

    Yields:
        Whether the workers are in this process.
    """
    portable = options.view_as(PortableOptions)
    if not isinstance(runner, PortableRunner):
        yield False
        return
    runner.default_environment(options)  # makes LOOPBACK the type where it is the default
    if portable.environment_type != "LOOPBACK":
        yield False
        return
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    port = server.add_insecure_port("127.0.0.1:0")
    experiments = options.view_as(DebugOptions).experiments or []
    pool = BeamFnExternalWorkerPoolServicer(
        state_cache_size=sdk_worker_main._get_state_cache_size_bytes(options=options),
        data_buffer_time_limit_ms=sdk_worker_main._get_data_buffer_time_limit_ms(experiments),
    )
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.start()
    portable.environment_type = "EXTERNAL"
    portable.environment_config = f"127.0.0.1:{port}"
    try:
        yield True
    finally:
        server.stop(_STOP_SECONDS)
