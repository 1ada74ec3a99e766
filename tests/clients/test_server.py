"""The fixtures themselves: a plain request's vectors are those of OpenAI's endpoint."""

import httpx
import pytest

pytestmark = pytest.mark.clients


def test_a_plain_request_of_openai_s_form_has_the_same_vectors(server, check_vectors):
    texts = ["red green blue", "x y z"]
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"input": texts}).json()
    check_vectors([row["embedding"] for row in answer["data"]], texts)
