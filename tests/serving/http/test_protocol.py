"""One connection, byte by byte: heads without an end, upgrades, pipelining, unread bodies."""

import contextlib
import http.client
import json
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

PREDICT = "/v1/models/tiny:predict"
BODY = json.dumps({"instances": ["hello"]}).encode()
ORIGIN = "https://example.org"
KEY = "Authorization: Bearer secret-key\r\n"


@pytest.fixture(scope="module")
def guarded(start, tiny_base):
    running = start(
        tiny_base,
        *("--allowed-host", "Embeddings.example", "--cors-origin", ORIGIN),
        env={"REJOINDER_API_KEYS": "secret-key"},
    )
    yield running
    assert running.stop() == 0


def connect(server):
    host, port = urlsplit(server.url).netloc.split(":")
    return socket.create_connection((host, int(port)), timeout=20)


LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def exchange(server, *pieces):
    """Sends pieces and `LAST`, and returns all that is received until the server closes."""
    received = b""
    with connect(server) as client, contextlib.suppress(ConnectionError):
        for piece in pieces:
            client.sendall(piece)
        client.sendall(LAST)
        while chunk := client.recv(2**20):
            received += chunk
    return received


def statuses(received):
    return re.findall(rb"HTTP/1\.1 (\d+)", received)


def post(path=PREDICT, body=BODY, fields=""):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


def test_a_request_that_offers_another_protocol_is_answered_in_this_one(server):
    """As curl --http2 and Java's HttpClient send it."""
    request = post(fields=H2C)
    with connect(server) as client:
        for pieces in ([request], [request[: -len(BODY)], request[-len(BODY) :]]):
            for piece in pieces:
                client.sendall(piece)
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.status == 200
            assert "embedding" in json.load(response)["predictions"][0]


def test_a_body_is_never_taken_for_a_request(server, guarded):
    hidden = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(exchange(server, post(body=hidden, fields=H2C))) == [b"400", b"200"]
    connect = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 41\r\n\r\n"
    assert statuses(exchange(server, connect + hidden)) == [b"400"]
    pipelined = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + post(body=hidden, fields=H2C)
    assert statuses(exchange(server, pipelined)) in ([b"200"], [])  # a reset hides answers
    # Answered before the body was read.
    assert statuses(exchange(guarded, post(body=hidden))) == [b"401"]


@pytest.mark.parametrize("path", ["/nowhere", PREDICT])
def test_a_connection_that_is_answered_before_its_body_is_closed(guarded, path):
    received = exchange(guarded, post(path, b"x" * 99_999)[:500])
    assert statuses(received) in ([b"401"], [b"404"])
    assert b"\r\nconnection: close\r\n" in received


def test_a_refused_request_without_a_body_keeps_its_connection(guarded):
    get = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    allowed = get.replace(b"\r\n\r\n", b"\r\n" + KEY.encode() + b"\r\n")
    assert statuses(exchange(guarded, get, allowed)) == [b"401", b"200", b"200"]


def test_requests_in_one_piece_are_answered_in_turn(server):
    get = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(exchange(server, get + post() + get)) == [b"200"] * 4


def test_a_request_may_arrive_in_single_bytes(server):
    request = b"\r\n" + post()
    received = exchange(server, *(request[i : i + 1] for i in range(len(request))))
    assert statuses(received) == [b"200"] * 2


def test_open_connections_are_told_their_time(server):
    received = exchange(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"\r\nkeep-alive: timeout=75\r\n" in received.lower()


LARGE_HEADS = {
    "a field without an end": [b"GET / HTTP/1.1\r\nX: ", *[b"x" * 4096] * 32],
    "fields without an end": [b"GET / HTTP/1.1\r\n", *[b"X: y\r\n" * 500] * 32],
    "many fields": [b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n"],
    "a long path": [b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"],
}


@pytest.mark.parametrize("pieces", LARGE_HEADS.values(), ids=LARGE_HEADS)
def test_a_head_that_is_too_large_is_refused(server, pieces):
    answers = statuses(exchange(server, *pieces))
    # A client that is still sending may receive a reset in place of the answer.
    assert answers in ([b"431"], [])
    assert statuses(exchange(server, post())) == [b"200"] * 2


def test_the_request_before_a_head_that_is_too_large_is_answered_last(server):
    first = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nX: "
    for pieces in ([first + b"x" * 131_072], [first, *[b"x" * 4096] * 32]):
        answers = statuses(exchange(server, *pieces))
        assert answers in ([b"200"], [b"200", b"431"], [])  # a reset hides answers


def test_a_head_that_is_just_too_large_gets_its_answer(server):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "
    assert statuses(exchange(server, head + b"x" * 32_768)) == [b"431"]
    assert statuses(exchange(server, head + b"x" * 32_000 + b"\r\n\r\n")) == [b"200"] * 2


def test_a_thousand_connections_with_endless_heads_take_little_memory(guarded):
    def megabytes():
        status = Path(f"/proc/{guarded.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    with contextlib.ExitStack() as stack:
        idle = megabytes()
        clients = [stack.enter_context(connect(guarded)) for _ in range(990)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 31_000)
        assert statuses(exchange(guarded, post(fields=KEY))) == [b"200"] * 2
        assert megabytes() - idle < 100


def test_a_request_under_a_foreign_name_is_refused(server, guarded):
    """A page of another site can point its own name at the loopback (DNS rebinding)."""

    def status(running, host):
        request = f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        return statuses(exchange(running, request.encode()))

    for host in ("localhost", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST:80"):
        assert status(server, host) == [b"200"]
    for host in ("evil.example", "evil.example:8501", "localhost.evil.example", "[::2]"):
        assert status(server, host) == [b"403"]
    assert statuses(exchange(server, b"GET /health HTTP/1.0\r\n\r\n")) == [b"200"]
    assert status(guarded, "embeddings.example:443") == [b"200"]
    assert status(guarded, "evil.example") == [b"403"]


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
}


def test_only_scripts_of_the_given_origins_may_call_the_server(guarded, server):
    def allowed(running, origin):
        url, fields = f"{running.url}/v1/embeddings", {"Origin": origin}
        asked = httpx.options(url, headers={**fields, **PREFLIGHT})
        answer = httpx.post(url, headers=fields, json={"input": "a"})
        name = "access-control-allow-origin"
        assert asked.is_success == (name in asked.headers)
        return asked.headers.get(name), answer.headers.get(name)

    assert allowed(guarded, ORIGIN) == (ORIGIN, ORIGIN)
    assert allowed(guarded, "https://evil.example") == (None, None)
    assert allowed(server, ORIGIN) == (None, None)
