"""Scripts of web pages from another origin."""

import httpx
import pytest

from rejoinder.errors import UserError
from rejoinder.serving.options import read_origins

ORIGIN = "https://example.org"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


def test_scripts_of_the_given_origins_may_call_the_server(start, tiny_base):
    running = start(tiny_base, "--cors-origin", ORIGIN)
    url = f"{running.url}/v1/embeddings"
    asked = httpx.options(url, headers={"Origin": ORIGIN, **PREFLIGHT})
    assert asked.status_code == 200
    answer = httpx.post(url, headers={"Origin": ORIGIN}, json={"input": "a"})
    for response in (asked, answer):
        assert response.headers["access-control-allow-origin"] == ORIGIN
    other = httpx.post(url, headers={"Origin": "https://evil.example"}, json={"input": "a"})
    assert "access-control-allow-origin" not in other.headers
    assert running.stop() == 0


def test_without_the_option_no_other_origin_may(server):
    answer = httpx.options(f"{server.url}/v1/embeddings", headers={"Origin": ORIGIN, **PREFLIGHT})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("text", ["example.org", "https://example.org/page", "ftp://a", ""])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(UserError, match="--cors-origin"):
        read_origins([text])
