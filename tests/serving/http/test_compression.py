"""Responses are compressed only for clients that accept gzip, and only where it is worth it."""

import asyncio
import gzip

import pytest
from starlette.responses import Response

from rejoinder.serving.http.compression import accepts_gzip, compressed


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip, deflate, br, zstd", True),
        ("br", False),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("identity;q=0.5, gzip;q=0.2", False),
        ("identity;q=0.2, gzip;q=0.5", True),
        ("gzip;q=x", False),
        ("gzip;q=nan", False),
        (";;,,=", False),
    ],
)
def test_weights_decide(header, accepted):
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize("size", [1024, 100_000])
def test_a_body_is_compressed_and_the_original_stays(size):
    original = Response(b"a" * size, headers={"Content-Type": "text/x", "X-Other": "1"})
    answer = asyncio.run(compressed(original, "gzip"))
    assert gzip.decompress(answer.body) == original.body == b"a" * size
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert (answer.headers["content-type"], answer.headers["x-other"]) == ("text/x", "1")
    assert "content-encoding" not in original.headers


def test_a_client_that_does_not_ask_gets_the_body_unchanged():
    answer = asyncio.run(compressed(Response(b"a" * 2000), "br"))
    assert answer.body == b"a" * 2000
    assert answer.headers["vary"] == "Accept-Encoding"


def test_a_tiny_body_is_never_compressed():
    answer = asyncio.run(compressed(Response(b"a" * 1023), "gzip"))
    assert answer.body == b"a" * 1023
    assert "content-encoding" not in answer.headers
