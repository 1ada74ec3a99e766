"""Serves exported models over HTTP and gRPC.

    rejoinder serve --model reddit=exports/reddit
    curl -d '{"instances": ["How are you?"]}' localhost:8501/v1/models/reddit:predict

HTTP requests follow TensorFlow Serving's REST API or OpenAI's embeddings API, gRPC
requests TensorFlow Serving's PredictionService. A web page to try the model is at
http://localhost:8501/. New versions in a model's folder are loaded while serving.
"""

import argparse
import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rejoinder import extras
from rejoinder.errors import UserError
from rejoinder.serving import logs, options
from rejoinder.serving.deferred_tensorflow import defer_tensorflow
from rejoinder.serving.engine_options import EngineOptions
from rejoinder.serving.limits import Limits
from rejoinder.serving.model_options import ModelOptions
from rejoinder.serving.parser import KEYS_VARIABLE, make_parser

if TYPE_CHECKING:
    from rejoinder.serving.tracing import Tracing


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server until a signal ends it; returns the exit status."""
    args = make_parser(__doc__ or "").parse_args(argv)
    limits = options.read_limits(args)
    models = options.read_models(args)
    index_folders = options.read_indexes(args)
    if args.engine == "openvino":
        extras.check_installed("openvino", "serve --engine openvino", module="openvino")
    if args.workers < 1 or args.threads < 0:
        raise UserError("--workers must be at least 1 and --threads at least 0")
    if args.otlp_endpoint is not None:
        extras.check_installed("telemetry", "serve --otlp-endpoint")
        options.check_url("--otlp-endpoint", args.otlp_endpoint)
    logs.configure(args.log_format, access_log=args.access_log)
    keys = options.read_keys(args.api_key_file)
    if not keys and not options.is_loopback(args.host):
        logs.warn(
            f"{args.host} can be reached from other machines and no key is set; "
            f"use --api-key-file or {KEYS_VARIABLE}"
        )
    listener = _bind(args.host, args.port)
    _serve(args, models, index_folders, limits, keys, listener)
    return 0


def _serve(
    args: argparse.Namespace,
    models: list[ModelOptions],
    index_folders: dict[str, str],
    limits: Limits,
    keys: list[str],
    listener: socket.socket,
) -> None:
    logs.announce(f"device: {_choose_device(args.engine, args.threads)}")
    import uvicorn

    from rejoinder.serving.engine.predict import Predictor
    from rejoinder.serving.engine.registry import Registry
    from rejoinder.serving.http.app import build_app
    from rejoinder.serving.http.draining import DrainingServer
    from rejoinder.serving.http.protocol import bounded_protocol
    from rejoinder.serving.inflight import InflightBytes
    from rejoinder.serving.keys import ApiKeys
    from rejoinder.serving.metrics import Metrics
    from rejoinder.serving.service import Service

    indexes = {}
    if index_folders:
        extras.check_installed("search", "serve --index")
        from rejoinder.retrieval.index import SearchIndex

        indexes = {name: SearchIndex(folder) for name, folder in index_folders.items()}
    metrics = Metrics()
    engine = EngineOptions(args.engine, args.precision, args.threads, args.workers)
    registry = Registry(models, limits, metrics, engine)
    service = Service(
        registry=registry,
        predictor=Predictor(limits, metrics, workers=args.workers),
        metrics=metrics,
        limits=limits,
        inflight=InflightBytes(limits.max_inflight_bytes, metrics),
        keys=ApiKeys(keys, metrics),
        hosts=options.allowed_hosts(args.host, args.allowed_host),
        origins=options.read_origins(args.cors_origin),
        indexes=indexes,
        tracing=_tracing(args.otlp_endpoint),
    )
    config = uvicorn.Config(
        build_app(service),
        http=bounded_protocol(limits),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.drain_seconds,
    )

    async def serve() -> None:
        await registry.load_all()
        async with contextlib.AsyncExitStack() as stack:
            poll = asyncio.create_task(registry.poll(options.poll_seconds(args, models)))
            stack.callback(poll.cancel)
            if args.grpc_port is not None:
                from rejoinder.serving.apis.grpc import grpc_server

                server = grpc_server(service, args.host, args.grpc_port)
                logs.announce(f"gRPC on {args.host}:{await stack.enter_async_context(server)}")
            listener.listen(config.backlog)  # a client that reads the next line may connect
            host = f"[{args.host}]" if ":" in args.host else args.host
            url = f"http://{host}:{listener.getsockname()[1]}"
            logs.announce(f"HTTP on {url}/")
            predict = f"{url}/v1/models/{models[0].name}:predict"
            logs.announce(f"""next: curl -d '{{"instances": ["How are you?"]}}' {predict}""")
            drain = DrainingServer(config, service.readiness, delay=args.drain_delay)
            await drain.serve(sockets=[listener])

    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(serve())
    finally:
        service.predictor.close()
        if service.tracing is not None:
            service.tracing.close()


def _choose_device(engine: str, threads: int) -> str:
    """Prepares the device of an engine before its modules are imported; returns its name."""
    from rejoinder.models.device import cpu_name, use_first_gpu

    if engine == "openvino":
        defer_tensorflow()
        return cpu_name()
    import tensorflow as tf

    name = use_first_gpu()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    return name


def _tracing(endpoint: str | None) -> "Tracing | None":
    if endpoint is None:
        return None
    from rejoinder.serving.tracing import Tracing
    from rejoinder.versions import installed_version

    return Tracing(endpoint, installed_version("rejoinder") or "source")


def _bind(host: str, port: int) -> socket.socket:
    """Returns a socket bound to the address, not yet listening.

    The port is bound before the models load, so that a port in use is reported at once.

    Raises:
        UserError: The address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host} port {port}: {error}; choose another --host or --port"
        ) from None
    return listener
