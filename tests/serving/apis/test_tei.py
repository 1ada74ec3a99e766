"""Text Embeddings Inference's API, with huggingface_hub's client where it has a method."""

import asyncio
from types import SimpleNamespace

import httpx
import huggingface_hub
import numpy as np
import orjson
import pytest

from rejoinder.models.tokenizer.spans import Vocabulary
from rejoinder.serving.apis.schemas.tei import TeiTokenizeRequest
from rejoinder.serving.apis.tei import TeiApi
from rejoinder.serving.engine.tokenizing import Tokens
from rejoinder.serving.limits import Limits

TEXTS = ["hello there", "a b c"]
LONG = "long " * 100


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def test_the_hub_s_client_embeds_and_compares(server, vectors):
    client = huggingface_hub.InferenceClient(model=server.url)
    np.testing.assert_allclose(client.feature_extraction(TEXTS[0]), vectors(TEXTS[:1]), atol=1e-6)
    got = client.feature_extraction(LONG, truncate=True)
    np.testing.assert_allclose(got, vectors([LONG]), atol=1e-6)


def test_embed(client, vectors):
    for path in ("/embed", "/"):
        got = client.post(path, json={"inputs": TEXTS}).json()
        np.testing.assert_allclose(got, vectors(TEXTS), atol=1e-6)


def test_similarity(client, vectors):
    inputs = {"source_sentence": TEXTS[0], "sentences": [*TEXTS, "d"]}
    embeddings = vectors([*TEXTS, "d"])
    got = client.post("/similarity", json={"inputs": inputs}).json()
    np.testing.assert_allclose(got, embeddings @ embeddings[0], atol=1e-6)


def test_fewer_dimensions(client, vectors):
    answer = client.post("/embed", json={"inputs": TEXTS, "dimensions": 4})
    cut = vectors(TEXTS)[:, :4]
    expected = cut / np.linalg.norm(cut, axis=1, keepdims=True)
    np.testing.assert_allclose(answer.json(), expected, atol=1e-6)
    assert "not trained for 4 dimensions" in answer.headers["x-warning"]


def test_truncated_texts_are_named_in_a_header(client):
    document = {"inputs": ["a", LONG], "truncate": True}
    assert client.post("/embed", json=document).headers["x-truncated"] == "1"
    inputs = {"source_sentence": "a", "sentences": ["b", LONG]}
    document = {"inputs": inputs, "parameters": {"truncate": True}}
    assert client.post("/similarity", json=document).headers["x-truncated"] == "2"


def test_tokenize_needs_the_vocabulary_of_the_export(client):
    """The tiny model has none; its error has the form of a body with `inputs`."""
    answer = client.post("/tokenize", json={"inputs": "a"})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Validation")
    assert "export` again" in answer.json()["error"]
    answer = client.post("/tokenize", json={"inputs": 5})
    assert answer.json() == {
        "error": "inputs must be a string or a non-empty list of strings",
        "error_type": "Validation",
    }


@pytest.mark.parametrize("special", [True, False])
def test_tokenize_gives_texts_and_places(special):
    vocabulary = Vocabulary(["<s>", "<pad>", "</s>", "hello", "##s", "[UNK]"], {}, "##", 5)

    async def tokenize(version, texts):
        return Tokens([np.array([0, 3, 4, 5, 2])], np.array([False]))

    version = SimpleNamespace(spans=lambda texts, rows: [vocabulary.spans("Héllos ☃", rows[0])])
    registry = SimpleNamespace(names=["m"], version=lambda name: version)
    api = TeiApi(registry, SimpleNamespace(tokenize=tokenize), Limits())
    body = TeiTokenizeRequest(inputs="Héllos ☃", add_special_tokens=special)
    tokens = orjson.loads(asyncio.run(api.tokenize(body)).body)[0]
    expected = [
        {"id": 0, "text": "<s>", "special": True, "start": None, "stop": None},
        {"id": 3, "text": "Héllo", "special": False, "start": 0, "stop": 5},
        {"id": 4, "text": "s", "special": False, "start": 5, "stop": 6},
        {"id": 5, "text": "☃", "special": False, "start": 7, "stop": 8},
        {"id": 2, "text": "</s>", "special": True, "start": None, "stop": None},
    ]
    assert tokens == (expected if special else expected[1:-1])


def test_info(client):
    info = client.get("/info").json()
    assert (info["model_id"], info["model_dtype"]) == ("tiny", "float32")
    assert (info["max_input_length"], info["max_client_batch_size"]) == (32, 64)
    assert info["auto_truncate"] is False


@pytest.mark.parametrize(
    ("path", "document", "status", "message"),
    [
        ("/embed", {"inputs": LONG}, 413, "input 0 has more than 32 tokens"),
        ("/embed", {"inputs": []}, 400, "inputs must be"),
        ("/embed", {"inputs": [1]}, 400, "inputs must be"),
        ("/embed", {"inputs": "a", "truncate": "yes"}, 400, "truncate must be"),
        ("/embed", {"inputs": "a", "normalize": False}, 400, "normalize must be true"),
        ("/embed", {"inputs": ["a"] * 65}, 400, "the limit is 64"),
        ("/similarity", {"inputs": "a"}, 400, "source_sentence"),
        ("/similarity", {"inputs": {"source_sentence": "a"}}, 400, "inputs must be"),
    ],
)
def test_errors_have_a_type(client, path, document, status, message):
    answer = client.post(path, json=document)
    assert answer.status_code == status
    assert answer.json()["error_type"] == "Validation"
    assert message in answer.json()["error"]


def test_tensorflow_serving_s_path_of_metrics(client):
    assert "rejoinder_requests_total" in client.get("/monitoring/prometheus/metrics").text
