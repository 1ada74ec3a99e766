"""A hostile, slow or greedy client gets an error and harms nobody else."""

import concurrent.futures
import contextlib
import json
import socket
import time
from urllib.parse import urlsplit

import grpc
import httpx
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

KEY = {"Authorization": "Bearer secret-key"}
PREDICT = "/v1/models/tiny:predict"
SECRET_TEXT = "my-private-words"
BODY = json.dumps({"instances": [SECRET_TEXT]})


@pytest.fixture(scope="module")
def guarded(start, tiny_base):
    running = start(
        tiny_base,
        *("--max-body-bytes", "20000", "--max-inflight-bytes", "45000"),
        *("--header-seconds", "1.5", "--body-seconds", "1.5", "--send-seconds", "1.5"),
        "--access-log",
        env={"REJOINDER_API_KEYS": "other-key,secret-key"},
    )
    yield running
    assert running.stop() == 0
    assert SECRET_TEXT not in running.log
    assert "secret-key" not in running.log
    assert "rest 200" in running.log


def connect(server):
    host, port = urlsplit(server.url).netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def read_all(client):
    """Returns what is received until the server closes or resets the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := client.recv(2**20):
            received += chunk
    return received


def test_a_request_with_a_key_succeeds(guarded):
    assert httpx.post(guarded.url + PREDICT, content=BODY, headers=KEY).is_success


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic secret-key", "secret-key", "é"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PREDICT),
        ("GET", "/v1/models/tiny"),
        ("POST", "/v1/embeddings"),
        ("POST", "/tokenize"),
        ("GET", "/metrics"),
    ],
)
def test_a_request_without_a_valid_key_is_refused(guarded, method, path, header):
    headers = {} if header is None else {"Authorization": header.encode()}
    answer = httpx.request(method, guarded.url + path, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/openapi.json"])
def test_the_page_and_probes_need_no_key(guarded, path):
    assert httpx.get(guarded.url + path).status_code == 200


def test_grpc_needs_the_key_too(guarded):
    request = predict_pb2.PredictRequest(model_spec={"name": "tiny"})
    with grpc.insecure_channel(guarded.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.Predict(request, timeout=10)
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.RpcError) as error:
            stub.Predict(request, timeout=10, metadata=[("authorization", "Bearer secret-key")])
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_body_that_is_too_large_is_refused_before_it_is_read(guarded):
    with connect(guarded) as client:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-key\r\n"
        client.sendall(f"{head}Content-Length: 99999999999\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_that_is_too_large_is_refused(guarded):
    answer = httpx.post(
        guarded.url + PREDICT, content=(b"x" * 1000 for _ in range(100)), headers=KEY
    )
    assert answer.status_code == 413


def test_a_connection_with_slow_headers_is_closed(guarded):
    with connect(guarded) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        start_time = time.monotonic()
        assert client.recv(100) == b""
        assert time.monotonic() - start_time < 10


def test_a_silent_connection_is_closed(guarded):
    with connect(guarded) as client:
        assert client.recv(100) == b""


def test_a_slow_body_is_refused(guarded):
    with connect(guarded) as client:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-key\r\n"
        client.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_never_reads_its_responses_is_disconnected(guarded):
    with connect(guarded) as client:
        # Far more than the buffers of both ends hold.
        client.settimeout(5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(2000):
                client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(3)
        answers = read_all(client).count(b"HTTP/1.1 200 OK")
    assert answers < 2000
    assert httpx.get(guarded.url + "/health").is_success


def test_the_bodies_of_all_clients_together_are_limited(guarded):
    head = (
        f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret-key\r\n"
        "Content-Length: 20000\r\n\r\n"
    ).encode()
    clients = [connect(guarded) for _ in range(4)]
    for client in clients:
        client.sendall(head + b"x" * 19000)
    answers = sorted(client.recv(12).decode() for client in clients)
    assert answers == ["HTTP/1.1 408"] * 2 + ["HTTP/1.1 429"] * 2
    for client in clients:
        client.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0",
    ],
)
def test_garbage_gets_an_error_or_a_closed_connection(guarded, garbage):
    with connect(guarded) as client:
        client.sendall(garbage)
        assert client.recv(100)[:12] in (b"HTTP/1.1 400", b"")


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/rank.js/../../server.py", "/%2e%2e/%2e%2e/etc/passwd", "/page/rank.js"],
)
def test_no_path_reaches_the_file_system(guarded, path):
    with connect(guarded) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 404 ")


def test_the_page_allows_no_foreign_content(guarded):
    policy = httpx.get(guarded.url + "/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy


def test_metrics_count_requests_without_quoting_them(guarded):
    httpx.get(guarded.url + f"/v1/models/{SECRET_TEXT}", headers=KEY)
    text = httpx.get(guarded.url + "/metrics", headers=KEY).text
    assert 'rejoinder_requests_total{code="404",endpoint="rest"}' in text
    assert "rejoinder_texts_total" in text
    assert SECRET_TEXT not in text


def test_connections_and_the_time_for_a_response_are_limited(start, tiny_base):
    running = start(tiny_base, "--max-connections", "3", "--request-seconds", "0.00001")
    answer = httpx.post(running.url + PREDICT, content=BODY)
    assert answer.status_code == 504
    assert answer.json() == {"error": "the request took longer than 1e-05 seconds"}
    clients = [connect(running) for _ in range(3)]
    with connect(running) as fourth:
        assert read_all(fourth) == b""
    for client in clients:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        client.close()
    assert running.stop() == 0


@pytest.fixture(scope="module")
def narrow(start, tiny_base):
    """A server with a very short queue."""
    running = start(tiny_base, "--max-queue-tokens", "8")
    yield running
    assert httpx.post(running.url + PREDICT, content=BODY).is_success
    assert running.stop() == 0


def test_overload_is_refused_with_the_time_to_retry_after(narrow):
    def post(_):
        answer = httpx.post(narrow.url + PREDICT, json={"instances": ["a"] * 500}, timeout=30)
        return answer.status_code, answer.headers.get("retry-after")

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(200)))
    _check_overload(answers, success=200, refusal=429)


def test_overload_is_refused_over_grpc_too(narrow):
    request = predict_pb2.PredictRequest(model_spec={"name": "tiny"})
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(["a"] * 500))
    with grpc.insecure_channel(narrow.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        calls = [stub.Predict.future(request, timeout=30) for _ in range(200)]
        answers = {
            (call.code().name, dict(call.trailing_metadata()).get("retry-after")) for call in calls
        }
    _check_overload(answers, success="OK", refusal="RESOURCE_EXHAUSTED")


def _check_overload(answers, *, success, refusal):
    """Some requests succeed; the others are refused and told to retry after whole seconds."""
    assert {status for status, _ in answers} == {success, refusal}
    for status, retry_after in answers:
        assert retry_after is None if status == success else int(retry_after) >= 1
