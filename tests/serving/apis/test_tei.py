"""Text Embeddings Inference's API, with huggingface_hub's client where it has a method."""

import httpx
import huggingface_hub
import numpy as np
import pytest

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
