"""The official openai client with the server."""

import base64
import gzip

import httpx
import numpy as np
import openai
import pytest

from rejoinder.models.quantize import QUANTIZED, quantize

TEXTS = ["hello there", "a b c"]


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def values(response):
    return np.array([entry.embedding for entry in response.data])


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(client, vectors, encoding):
    options = {"encoding_format": encoding} if encoding else {}  # the client's default is base64
    response = client.embeddings.create(model="tiny", input=TEXTS, **options)
    assert [entry.index for entry in response.data] == [0, 1]
    assert (response.usage.prompt_tokens, response.usage.total_tokens) == (9, 9)
    if encoding == "base64":
        got = [np.frombuffer(base64.b64decode(e.embedding), "<f4") for e in response.data]
    else:
        got = values(response)
    np.testing.assert_allclose(got, vectors(TEXTS), atol=1e-6)


def test_a_single_text(client, vectors):
    response = client.embeddings.create(model="tiny", input="hello there")
    np.testing.assert_allclose(values(response), vectors(TEXTS[:1]), atol=1e-6)


def test_fewer_dimensions_give_unit_vectors(client, vectors):
    response = client.embeddings.create(model="tiny", input=TEXTS, dimensions=4)
    cut = vectors(TEXTS)[:, :4]
    np.testing.assert_allclose(
        values(response), cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6
    )


@pytest.mark.parametrize("dtype", ["float", *QUANTIZED])
def test_output_dtype_quantizes(client, vectors, dtype):
    response = client.embeddings.create(
        model="tiny", input=TEXTS, encoding_format="float", extra_body={"output_dtype": dtype}
    )
    exact = vectors(TEXTS)
    if dtype == "float":
        np.testing.assert_allclose(values(response), exact, atol=1e-6)
    else:  # a number at the middle of two steps may be rounded to either
        np.testing.assert_allclose(values(response), quantize(exact, dtype), atol=1)


def test_base64_of_quantized_numbers_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="encoding_format must be 'float' with"):
        client.embeddings.create(model="tiny", input=TEXTS, extra_body={"output_dtype": "int8"})
    with pytest.raises(openai.BadRequestError, match="output_dtype must be 'float', 'int8'"):
        client.embeddings.create(model="tiny", input=TEXTS, extra_body={"output_dtype": "int4"})


def test_token_ids(client, server, vectors):
    tokens = httpx.post(f"{server.url}/tokenize", json={"input": TEXTS}).json()
    assert tokens["num_tokens"] == [4, 5]
    response = client.embeddings.create(model="tiny", input=tokens["token_ids"])
    np.testing.assert_allclose(values(response), vectors(TEXTS), atol=1e-6)
    response = client.embeddings.create(model="tiny", input=tokens["token_ids"][0])
    np.testing.assert_allclose(values(response), vectors(TEXTS[:1]), atol=1e-6)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_one_model(client):
    model = client.models.retrieve("tiny")
    assert (model.id, model.object, model.owned_by) == ("tiny", "model", "rejoinder")


def test_fields_may_be_null_and_a_user_may_be_named(server, vectors):
    document = {"input": "hello there", "model": None, "encoding_format": None, "user": "me"}
    answer = httpx.post(f"{server.url}/v1/embeddings", json=document).json()
    got = np.array([answer["data"][0]["embedding"]])
    np.testing.assert_allclose(got, vectors(TEXTS[:1]), atol=1e-6)


def test_truncated_texts_are_named_in_a_header(server):
    texts = ["short", "long " * 100, "short", "long " * 100]
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"input": texts})
    assert answer.headers["x-truncated"] == "1,3"
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"input": "short"})
    assert "x-truncated" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/embeddings", "/tokenize"])
def test_truncation_can_be_refused(server, path):
    document = {"input": ["short", "long " * 100], "auto_truncate": False}
    answer = httpx.post(server.url + path, json=document)
    assert answer.status_code == 400
    assert "input 1 has more than 32 tokens; shorten it" in answer.text
    document["auto_truncate"] = True
    assert httpx.post(server.url + path, json=document).headers["x-truncated"] == "1"


def test_dimensions_that_were_not_trained_carry_a_warning(server):
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"input": "a", "dimensions": 4})
    assert answer.json()["warnings"] == [answer.headers["x-warning"]]
    assert answer.headers["x-warning"].startswith("the model was not trained for 4 dimensions")
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"input": "a", "dimensions": 16})
    assert "warnings" not in answer.json()
    assert "x-warning" not in answer.headers


def test_responses_are_compressed_on_request(server):
    def get(encoding):
        headers = {"Accept-Encoding": encoding}
        url = f"{server.url}/v1/embeddings"
        with httpx.stream("POST", url, json={"input": TEXTS * 8}, headers=headers) as answer:
            return answer.headers, b"".join(answer.iter_raw())

    headers, plain = get("gzip;q=0")
    assert "content-encoding" not in headers
    headers, packed = get("gzip")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == plain


@pytest.mark.parametrize("ids", [[7, 8], [0, 7], [7, 2], [[0, 7, 2], [9906, 1917]]])
def test_ids_of_another_tokenizer_are_refused_with_the_setting_to_change(server, ids):
    """LangChain sends ids of OpenAI's tokenizer by default."""
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"input": ids})
    assert answer.status_code == 400
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/speech", "/v1/"])
def test_what_openai_has_and_this_server_has_not_is_not_found(client, server, path):
    answer = httpx.post(server.url + path, json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="tiny", messages=[])


def test_bodies_may_be_compressed_within_the_limit(server, vectors):
    def post(body, encoding="gzip"):
        headers = {"Content-Encoding": encoding}
        return httpx.post(f"{server.url}/v1/embeddings", content=body, headers=headers)

    body = gzip.compress(b'{"input": "hello there"}')
    got = np.array([post(body).json()["data"][0]["embedding"]])
    np.testing.assert_allclose(got, vectors(TEXTS[:1]), atol=1e-6)
    assert post(body, "br").status_code == 415
    assert post(body[:-9]).status_code == post(body + b"x").status_code == 400
    assert post(b"{}").status_code == 400
    assert post(gzip.compress(b" " * 5_000_000)).status_code == 413


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.embeddings.create(model="gpt", input="a")
    assert error.value.code == "model_not_found"


@pytest.mark.parametrize(
    "options",
    [
        {"input": []},
        {"input": ["a", 1]},
        {"input": [[]]},
        {"input": [1000]},
        {"input": [-1]},
        {"input": [5] * 33},
        {"input": ["a"] * 65},
        {"input": "a", "dimensions": 0},
        {"input": "a", "dimensions": 17},
        {"input": "a", "encoding_format": "hex"},
        {"input": None},
    ],
)
def test_bad_requests(server, options):
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"model": "tiny", **options})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
