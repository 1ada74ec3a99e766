"""gRPC's limits, health and reflection, with a server in this process and a fake model."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from rejoinder.serving.apis import grpc_gate
from rejoinder.serving.apis.grpc import grpc_server
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.inflight import InflightBytes
from rejoinder.serving.keys import ApiKeys
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.service import Service

PREDICT = "/tensorflow.serving.PredictionService/Predict"


class FakeVersion:
    """Embeds a text as its first byte; waits for `gate`, and keeps the batches."""

    number = 1
    measured = ()
    manifest = SimpleNamespace(dimension=1)

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()
        definition = meta_graph_pb2.SignatureDef()
        definition.inputs["text"].dtype = tf.string.as_datatype_enum
        definition.outputs["embedding"].dtype = tf.float32.as_datatype_enum
        self.signature_defs = {"serving_default": definition}

    def tokenize(self, texts):
        rows = [np.array([text[0]], np.int32) for text in texts]
        return rows, np.zeros(len(rows), bool)

    def encode(self, rows):
        self.gate.wait(10)
        self.batches.append([chr(row[0]) for row in rows])
        return np.array(rows, np.float32), len(rows)


class FakeRegistry:
    def __init__(self, version):
        self.versions = {"tiny": {1: version}}
        self.names = ["tiny"]

    def model(self, name):
        return SimpleNamespace(versions=self.versions[name])

    def version(self, name, number=None, label=None):
        return self.versions[name][1]


def predict(*texts):
    request = predict_pb2.PredictRequest(model_spec={"name": "tiny"}, output_filter=["embedding"])
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(list(texts)))
    return request.SerializeToString()


@contextlib.asynccontextmanager
async def running(keys=(), **limits):
    """A server; yields its parts, its fake model, and a channel."""
    limits, metrics, version = Limits(**limits), Metrics(), FakeVersion()
    service = Service(
        registry=FakeRegistry(version),
        predictor=Predictor(limits, metrics, workers=1),
        metrics=metrics,
        limits=limits,
        inflight=InflightBytes(limits.max_inflight_bytes, metrics),
        keys=ApiKeys(keys, metrics),
    )
    try:
        async with (
            grpc_server(service, "127.0.0.1", 0) as port,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            yield SimpleNamespace(service=service, version=version, channel=channel)
    finally:
        service.predictor.close()


def call(server, message, **options):
    """Starts a Predict call with a message in wire format."""
    return server.channel.unary_unary(PREDICT)(message, timeout=20, **options)


async def code(awaitable):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await awaitable
    return error.value.code().name


async def until(condition):
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never true")


def test_messages_are_in_flight_until_their_calls_end_and_never_exceed_the_limit(monkeypatch):
    parsed, parse = [], grpc_gate.parse
    monkeypatch.setattr(grpc_gate, "parse", lambda *args: parsed.append(1) or parse(*args))

    async def scenario():
        async with running(max_body_bytes=100_000, max_inflight_bytes=450_000) as server:
            server.version.gate.clear()
            message = predict(*["x" * 30_000] * 3)
            calls = [asyncio.ensure_future(call(server, message)) for _ in range(40)]
            await until(lambda: sum(task.done() for task in calls) == 36)
            held = server.service.inflight._bytes
            server.version.gate.set()
            results = await asyncio.gather(*calls, return_exceptions=True)
            await until(lambda: server.service.inflight._bytes == 0)
            refused = [error for error in results if isinstance(error, grpc.aio.AioRpcError)]
            return held, len(parsed), refused, len(message), await call(server, message)

    held, count, refused, size, _ = asyncio.run(scenario())
    assert (held, count) == (4 * size, 4)
    assert {error.code().name for error in refused} == {"RESOURCE_EXHAUSTED"}
    assert {"server is reading too many requests"} == {error.details() for error in refused}
    assert dict(refused[0].trailing_metadata())["retry-after"] == "1"


def test_a_thousand_small_calls_at_the_same_time_are_all_answered():
    async def scenario():
        async with running(max_connections=1000) as server:
            await asyncio.gather(*(call(server, predict("a")) for _ in range(1000)))

    asyncio.run(scenario())


def test_a_call_without_a_key_is_refused_before_its_message_is_read(monkeypatch):
    def read(self, context):
        raise AssertionError("read")

    async def scenario():
        async with running(keys=["sesame"]) as server:
            key = (("authorization", "Bearer sesame"),)
            await call(server, predict("a"), metadata=key)
            monkeypatch.setattr(grpc_gate.MessageReader, "read", read)
            return await code(call(server, predict("a")))

    assert asyncio.run(scenario()) == "UNAUTHENTICATED"


def test_a_message_that_does_not_arrive_is_refused_after_the_seconds_of_a_body():
    async def scenario():
        async with running(body_seconds=0.2) as server:
            unfinished = server.channel.stream_unary(PREDICT)(timeout=20)
            return await code(unfinished), server.service.inflight._bytes

    assert asyncio.run(scenario()) == ("DEADLINE_EXCEEDED", 0)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], "INVALID_ARGUMENT"),
        ([b"\xff\xff\xff"], "INVALID_ARGUMENT"),
        ([b"x" * 3000], "RESOURCE_EXHAUSTED"),
    ],
)
def test_what_is_not_one_message_within_the_limit_is_refused(messages, expected):
    async def scenario():
        async with running(max_body_bytes=2000) as server:
            found = await code(server.channel.stream_unary(PREDICT)(iter(messages), timeout=20))
            await call(server, predict("a"))
            return found, server.service.inflight._bytes

    assert asyncio.run(scenario()) == (expected, 0)


def test_a_lone_call_after_a_cancelled_bulk_is_in_the_next_batch():
    async def scenario():
        async with running() as server:
            server.version.gate.clear()
            calls = [call(server, predict("a", "b", "c")) for _ in range(300)]
            waiting = server.service.predictor._batcher._queued_tokens
            await until(lambda: waiting() > 600)
            for bulk in calls:
                bulk.cancel()
            await until(lambda: waiting() == 0)
            lone = asyncio.ensure_future(call(server, predict("z")))
            await until(lambda: waiting() == 1)
            server.version.gate.set()
            await lone
            return server.version.batches, server.service.inflight._bytes

    batches, inflight = asyncio.run(scenario())
    assert batches[1:] == [["z"]]
    assert inflight == 0


def check(server, name=""):
    stub = health_pb2_grpc.HealthStub(server.channel)
    return stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20)


def test_health_is_that_of_the_server_of_each_service_and_of_each_model():
    async def scenario():
        async with running(keys=["sesame"]) as server:
            names = ["", "tiny", "tensorflow.serving.PredictionService"]
            loaded = [(await check(server, name)).status for name in names]
            unknown = await code(check(server, "other"))
            del server.service.registry.versions["tiny"][1]
            return loaded, unknown, [(await check(server, name)).status for name in names]

    loaded, unknown, unloaded = asyncio.run(scenario())
    assert loaded == [health_pb2.HealthCheckResponse.SERVING] * 3
    assert unknown == "NOT_FOUND"
    assert unloaded == [health_pb2.HealthCheckResponse.NOT_SERVING] * 3


def test_a_draining_server_is_not_serving_and_ends_the_watches():
    async def scenario():
        async with running() as server:
            stub = health_pb2_grpc.HealthStub(server.channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
            unknown = stub.Watch(health_pb2.HealthCheckRequest(service="other"), timeout=20)
            found = [(await watch.read()).status, (await unknown.read()).status]
            server.service.readiness.ready = False
            found.append((await watch.read()).status)
            assert await watch.read() is grpc.aio.EOF
            return [*found, (await check(server)).status]

    state = health_pb2.HealthCheckResponse
    assert asyncio.run(scenario()) == [
        *(state.SERVING, state.SERVICE_UNKNOWN),
        *(state.NOT_SERVING, state.NOT_SERVING),
    ]


def test_reflection_lists_the_services_and_describes_them():
    async def scenario():
        async with running() as server:
            stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
            questions = [
                reflection_pb2.ServerReflectionRequest(list_services=""),
                *(
                    reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
                    for symbol in (
                        "tensorflow.serving.PredictionService",
                        "tensorflow.serving.PredictionService.Predict",
                        "tensorflow.TensorProto",
                    )
                ),
            ]
            return [answer async for answer in stub.ServerReflectionInfo(iter(questions))]

    listed, service, method, tensor = asyncio.run(scenario())
    assert [entry.name for entry in listed.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ]
    files = b"".join(service.file_descriptor_response.file_descriptor_proto)
    assert b"MultiInference" in files
    assert files == b"".join(method.file_descriptor_response.file_descriptor_proto)
    assert b"tensor_content" in files
    assert tensor.file_descriptor_response.file_descriptor_proto
