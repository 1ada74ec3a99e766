"""Cohere's `/v2/embed`; `tests/clients` calls it with Cohere's own client."""

import base64

import httpx
import numpy as np
import pytest

from rejoinder.models.quantize import QUANTIZED, quantize

TEXTS = ["hello there", "a b c"]
LONG = "long " * 100


@pytest.fixture(scope="module")
def post(server):
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield lambda **fields: client.post("/v2/embed", json={"model": "tiny", **fields})


def test_every_type_in_one_request(post, vectors):
    kinds = ["float", *QUANTIZED, "base64"]
    answer = post(texts=TEXTS, input_type="search_document", embedding_types=kinds).json()
    assert (answer["response_type"], answer["texts"]) == ("embeddings_by_type", TEXTS)
    assert answer["meta"] == {
        "api_version": {"version": "2"},
        "billed_units": {"input_tokens": 9},
    }
    assert answer["id"]
    got = answer["embeddings"]
    assert list(got) == kinds
    floats = np.array(got["float"], np.float32)
    np.testing.assert_allclose(floats, vectors(TEXTS), atol=1e-6)
    for kind in QUANTIZED:
        assert got[kind] == quantize(floats, kind).tolist()
    decoded = [np.frombuffer(base64.b64decode(text), "<f4") for text in got["base64"]]
    np.testing.assert_array_equal(decoded, floats)


def test_floats_are_the_default_and_inputs_join_their_parts(post, vectors):
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": "there"}]
    answer = post(inputs=[{"content": parts}], input_type="classification", images=None).json()
    assert list(answer["embeddings"]) == ["float"]
    np.testing.assert_allclose(answer["embeddings"]["float"], vectors(TEXTS[:1]), atol=1e-6)


def test_what_was_truncated_and_what_was_not_trained_is_a_warning(post):
    answer = post(texts=["short", LONG], output_dimension=8)
    warnings = answer.json()["meta"]["warnings"]
    assert warnings[0].startswith("the model was not trained for 8 dimensions")
    assert warnings[1] == "truncated texts: 1"
    assert answer.headers["x-truncated"] == "1"
    assert "8 dimensions" in answer.headers["x-warning"]
    assert np.linalg.norm(answer.json()["embeddings"]["float"][0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": "x"}, 404, "model 'x' does not exist; served: tiny"),
        ({"model": None}, 400, "model must be a string, the name of a served model"),
        ({"texts": None}, 400, "one of texts and inputs must be given"),
        ({"texts": []}, 400, "texts must be a non-empty list of strings"),
        ({"texts": ["a", 1]}, 400, "texts must be a non-empty list of strings"),
        (
            {"texts": ["a"] * 65},
            400,
            "request has 65 items, the limit is 64; ",
        ),
        ({"images": ["data:"]}, 400, "images must be left out: the models embed texts only"),
        ({"embedding_types": ["int4"]}, 400, "embedding_types must be a list of 'float', "),
        ({"input_type": "image"}, 400, "input_type must be 'search_document', "),
        ({"output_dimension": 17}, 400, "output_dimension must be a whole number from 1 to 16"),
        ({"truncate": "START"}, 400, "truncate must be 'END' or 'NONE'"),
        ({"max_tokens": 5}, 400, "max_tokens must be at least 32"),
        (
            {"texts": ["a", LONG], "truncate": "NONE"},
            400,
            'input 1 has more than 32 tokens; shorten it or send "truncate": "END"',
        ),
    ],
)
def test_errors_name_the_field(post, fields, status, message):
    answer = post(**{"texts": TEXTS, **fields})
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["message"]
    assert answer.json()["message"].startswith(message)
