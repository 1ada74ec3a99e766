"""What a request leaves behind: metrics, a line of the log, and a trace at a real receiver."""

import asyncio
import contextlib
import http.server
import io
import itertools
import json
import logging
import threading
import time
from types import SimpleNamespace

import grpc
import httpx
import pytest
import tensorflow as tf
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from rejoinder import extras
from rejoinder.errors import UserError
from rejoinder.serving import logs
from rejoinder.serving.apis.grpc import grpc_server
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.http.app import build_app
from rejoinder.serving.inflight import InflightBytes
from rejoinder.serving.keys import ApiKeys
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.model_options import ModelOptions
from rejoinder.serving.server import main
from rejoinder.serving.service import Service
from rejoinder.serving.tracing import Tracing

PREDICT = "/v1/models/tiny:predict"
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SECRET = "my-private-words"


@pytest.fixture(scope="module")
def registry(tiny_base):
    registry = Registry([ModelOptions("tiny", str(tiny_base))], Limits(), Metrics())
    asyncio.run(registry.load_all())
    return registry


@contextlib.contextmanager
def receiver():
    """An OTLP/HTTP receiver; yields its URL and the spans that it has received."""
    spans = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                names = {a.key: a.value.string_value for a in resource.resource.attributes}
                assert names["service.name"] == "rejoinder"
                spans.extend(s for scope in resource.scope_spans for s in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.asynccontextmanager
async def running(registry, tracing=None):
    """A server in this process; yields its service, an HTTP client and a gRPC stub."""
    limits, metrics = Limits(), Metrics()
    service = Service(
        registry=registry,
        predictor=Predictor(limits, metrics, workers=1),
        metrics=metrics,
        limits=limits,
        inflight=InflightBytes(limits.max_inflight_bytes, metrics),
        keys=ApiKeys([], metrics),
        tracing=tracing,
    )
    transport = httpx.ASGITransport(build_app(service))
    try:
        async with (
            grpc_server(service, "127.0.0.1", 0) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            yield SimpleNamespace(service=service, client=client, stub=stub)
    finally:
        service.predictor.close()


def grpc_request(name="tiny"):
    request = predict_pb2.PredictRequest(model_spec={"name": name})
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([SECRET]))
    return request


async def use(registry, tracing=None, headers=None):
    """Sends a request to each interface and one that fails; returns answers and metrics."""
    headers = headers or {}
    async with running(registry, tracing) as server:
        body = {"instances": [SECRET, SECRET]}
        answers = [
            await server.client.post(PREDICT, json=body, headers=headers),
            await server.client.post(PREDICT, json={"instances": [7]}, headers=headers),
        ]
        metadata = tuple((name.lower(), value) for name, value in headers.items())
        await server.stub.Predict(grpc_request(), metadata=metadata)
        with pytest.raises(grpc.RpcError):
            await server.stub.Predict(grpc_request("unknown"))
        return answers, server.service.metrics.render().decode()


@pytest.fixture
def access_lines(caplog):
    """Turns the access log on, in JSON; returns its lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.getLogger("rejoinder.access")
    logger.addHandler(handler)
    with caplog.at_level(logging.INFO, "rejoinder.access"):
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


def test_requests_are_counted_and_timed_by_kind(registry):
    _, text = asyncio.run(use(registry))
    for line in (
        'rejoinder_requests_total{code="200",endpoint="rest"} 1.0',
        'rejoinder_requests_total{code="400",endpoint="rest"} 1.0',
        'rejoinder_request_seconds_count{endpoint="rest"} 2.0',
        'rejoinder_requests_total{code="OK",endpoint="grpc_predict"} 1.0',
        'rejoinder_request_seconds_count{endpoint="grpc_predict"} 2.0',
        'rejoinder_signature_seconds_count{signature="serving_default"} 2.0',
        "rejoinder_queue_seconds_count 2.0",
        "rejoinder_batch_seconds_count 2.0",
        "rejoinder_inflight_requests 0.0",
    ):
        assert line in text
    values = dict(line.split() for line in text.splitlines() if line.startswith("process_"))
    assert 50e6 < float(values["process_resident_memory_bytes"]) < 50e9
    assert float(values["process_cpu_seconds_total"]) > 0.1
    assert SECRET not in text


def test_each_request_is_a_trace_at_an_otlp_receiver(registry):
    with receiver() as (url, spans):
        tracing = Tracing(url, "1")
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "order-7"}
        begun = time.time_ns()
        asyncio.run(use(registry, tracing, headers))
        tracing.close()
    servers = [span for span in spans if span.kind == span.SPAN_KIND_SERVER]
    assert [span.name for span in servers] == ["rest", "rest", "grpc_predict", "grpc_predict"]
    for span in servers[:3]:
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert servers[3].trace_id.hex() != TRACE
    for span in (servers[0], servers[2]):
        children = [child for child in spans if child.parent_span_id == span.span_id]
        assert [child.name for child in children] == ["tokenize", "queue", "batch"]
        times = [span.start_time_unix_nano]
        for child in children:
            assert child.trace_id == span.trace_id
            times += [child.start_time_unix_nano, child.end_time_unix_nano]
        times.append(span.end_time_unix_nano)
        assert begun <= times[0]
        slack = 1_000_000  # ns: the two clocks are read one after the other
        assert all(b - a >= -slack for a, b in itertools.pairwise(times))
    attributes = {a.key: a.value.int_value or a.value.string_value for a in servers[0].attributes}
    assert attributes == {
        "http.response.status_code": 200,
        "rejoinder.request_id": "order-7",
        "rejoinder.signature": "serving_default",
        "rejoinder.version": 1,
    }
    assert SECRET not in str(spans)


def test_a_receiver_that_does_not_answer_delays_no_request(registry):
    with receiver() as (url, _):
        pass
    tracing = Tracing(url, "1")
    answers, _ = asyncio.run(use(registry, tracing))
    assert [answer.status_code for answer in answers] == [200, 400]


def test_a_traceparent_that_is_malformed_begins_a_new_trace(registry):
    with receiver() as (url, spans):
        tracing = Tracing(url, "1")
        asyncio.run(use(registry, tracing, {"traceparent": "00-xyz"}))
        tracing.close()
    assert not any(span.parent_span_id for span in spans if span.kind == span.SPAN_KIND_SERVER)


def test_the_log_has_one_json_object_for_each_request(registry, access_lines):
    answers, _ = asyncio.run(use(registry, headers={"X-Request-Id": "order-7"}))
    first, second, third, fourth = access_lines()
    assert first["message"].startswith("rest 200 ")
    assert (
        first.items()
        >= {
            "level": "INFO",
            "logger": "rejoinder.access",
            "endpoint": "rest",
            "code": "200",
            "signature": "serving_default",
            "request_id": "order-7",
        }.items()
    )
    assert first.keys() >= {"time", "milliseconds", "queue_milliseconds", "batch_milliseconds"}
    assert (second["code"], third["code"], fourth["code"]) == ("400", "OK", "NOT_FOUND")
    assert third["request_id"] == "order-7"
    assert len(fourth["request_id"]) == 32
    assert [answer.headers["x-request-id"] for answer in answers] == ["order-7", "order-7"]
    assert SECRET not in str(access_lines())


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<b>"])
def test_a_request_id_that_is_malformed_is_replaced(registry, given):
    answers, _ = asyncio.run(use(registry, headers={"X-Request-Id": given} if given else {}))
    assert len(answers[0].headers["x-request-id"]) == 32


def test_a_record_with_line_breaks_and_a_traceback_is_one_line():
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("a", logging.ERROR, "f", 1, "é %s\n", ("x",), info)
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "é x\n"
    assert "two\nlines" in json.loads(line)["traceback"]


def test_traces_without_their_package_name_the_extra(tiny_base, monkeypatch):
    missing = ("opentelemetry.exporter.otlp.proto.nothing",)
    monkeypatch.setitem(extras.MODULES, "telemetry", missing)
    options = ["--model", f"tiny={tiny_base}", "--otlp-endpoint", "http://localhost:4318"]
    with pytest.raises(UserError, match=r"--otlp-endpoint: .*pip install 'rejoinder\[telemetry\]'"):
        main(options)


def test_an_endpoint_that_is_no_url_is_refused(tiny_base):
    with pytest.raises(UserError, match="--otlp-endpoint localhost:4318: write http://host:port"):
        main(["--model", f"tiny={tiny_base}", "--otlp-endpoint", "localhost:4318"])
