"""Compares the exported and served all-mpnet-base-v2 with sentence-transformers."""

import os
import sys
from pathlib import Path

import grpc
import httpx
import numpy as np
import openai
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

MPNET = os.environ.get("REJOINDER_MPNET", Path.home() / ".cache/rejoinder/all-mpnet-base-v2")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not Path(MPNET).is_dir(), reason="REJOINDER_MPNET does not name an all-mpnet-base-v2 folder"
    ),
]
TEXTS = [
    "How do I keep a bike chain from slipping?",
    "Measure the chain first.",
    "",
    "naïve café — 日本語 🙂",  # without "</s>", which is text for us and a token for Hugging Face
    "word " * 500,
]


@pytest.fixture(scope="module")
def expected():
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(MPNET), device="cpu")
    return model.encode(TEXTS, normalize_embeddings=True)


@pytest.fixture(scope="module")
def served(start, tmp_path_factory):
    import subprocess

    base = tmp_path_factory.mktemp("exports") / "tiny"
    subprocess.run(
        [sys.executable, "-m", "rejoinder", "export", "--model", str(MPNET), "--output", str(base)],
        check=True,
    )
    running = start(base, "--precision", "float32")
    yield running
    assert running.stop() == 0


def test_rest(served, expected):
    body = {"instances": TEXTS}
    answer = httpx.post(f"{served.url}/v1/models/tiny:predict", json=body, timeout=60)
    got = [row["embedding"] for row in answer.json()["predictions"]]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_openai(served, expected):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
        data = client.embeddings.create(model="tiny", input=TEXTS).data
    np.testing.assert_allclose([entry.embedding for entry in data], expected, atol=1e-5)


def test_grpc(served, expected):
    request = predict_pb2.PredictRequest(model_spec={"name": "tiny"})
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(TEXTS))
    with grpc.insecure_channel(served.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = stub.Predict(request, timeout=60).outputs
    np.testing.assert_allclose(tf.make_ndarray(outputs["embedding"]), expected, atol=1e-5)


def test_the_sentence_transformers_folder_is_the_same_model(served, expected):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    twin = served.base.with_name("tiny-sentence-transformers") / "1"
    model = sentence_transformers.SentenceTransformer(str(twin), device="cpu")
    np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-6)
