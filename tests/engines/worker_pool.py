"""Beam's worker pool (`--environment_type EXTERNAL`), on the loopback interface only.

    python tests/engines/worker_pool.py PORT

Beam's own `worker_pool_main` listens on every interface, where anybody could start code.
"""

import sys
import time

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor

if __name__ == "__main__":
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    assert server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(
        BeamFnExternalWorkerPoolServicer(), server
    )
    server.start()
    while True:
        time.sleep(60)
