"""Command line tools: gRPC's, and load generators, which are answered with 200 at their rate."""

import base64
import json
import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients

BUILD = Path(__file__).resolve().parents[2] / "build" / "bin"
PREDICT = "tensorflow.serving.PredictionService/Predict"
TEXTS = ["red green blue", "x y z"]


@pytest.fixture
def go_tool():
    """Returns a function: the path of a tool; skips the test where it is not installed."""

    def find(name):
        if not (BUILD / name).exists():
            pytest.skip(f"needs {name}, which `make test-clients-all` installs with Go")
        return BUILD / name

    return find


def predict_request(texts):
    """A PredictRequest in protobuf's JSON form."""
    tensor = {
        "dtype": "DT_STRING",
        "tensorShape": {"dim": [{"size": len(texts)}]},
        "stringVal": [base64.b64encode(text.encode()).decode() for text in texts],
    }
    return json.dumps({"modelSpec": {"name": "tiny"}, "inputs": {"text": tensor}})


def test_grpcurl_lists_the_services_and_calls_predict(go_tool, server, run_client, check_vectors):
    command = [go_tool("grpcurl"), "-plaintext"]
    listed = run_client([*command, server.grpc, "list"], server)
    assert "tensorflow.serving.PredictionService" in listed
    described = run_client([*command, server.grpc, "describe", PREDICT.replace("/", ".")], server)
    assert "PredictRequest" in described
    data = ["-d", predict_request(TEXTS)]
    answer = json.loads(run_client([*command, *data, server.grpc, PREDICT], server))
    values = answer["outputs"]["embedding"]["float_val"]
    width = len(values) // len(TEXTS)
    check_vectors([values[:width], values[width:]], TEXTS)


@pytest.mark.parametrize("name", ["", "tiny", "tensorflow.serving.PredictionService"])
def test_grpc_health_probe_finds_the_server_and_its_model(name, go_tool, server, run_client):
    run_client([go_tool("grpc-health-probe"), "-addr", server.grpc, "-service", name], server)


def test_ghz_is_answered_at_its_rate(go_tool, server, run_client):
    command = [go_tool("ghz"), "--insecure", "--call", PREDICT, "-d", predict_request(["red"])]
    load = ["-n", "2000", "-c", "50", "--format", "json"]
    report = json.loads(run_client([*command, *load, server.grpc], server))
    assert report["statusCodeDistribution"] == {"OK": 2000}


def test_hey_is_answered_at_its_rate(go_tool, server, run_client):
    url = f"{server.url}/v1/embeddings"
    body = ["-m", "POST", "-T", "application/json", "-d", '{"input": "red"}']
    printed = run_client([go_tool("hey"), "-n", "2000", "-c", "50", *body, url], server)
    assert re.findall(r"\[(\d+)\]\s+(\d+) responses", printed) == [("200", "2000")]


def test_vegeta_is_answered_at_its_rate(go_tool, server, run_client, tmp_path):
    vegeta, body, results = go_tool("vegeta"), tmp_path / "body", tmp_path / "results"
    body.write_text('{"input": "red"}')
    targets = tmp_path / "targets"
    targets.write_text(
        f"POST {server.url}/v1/embeddings\nContent-Type: application/json\n@{body}\n"
    )
    load = ["-rate", "200", "-duration", "3s", "-targets", targets, "-output", results]
    run_client([vegeta, "attack", *load], server)
    report = json.loads(run_client([vegeta, "report", "-type", "json", results], server))
    assert report["status_codes"] == {"200": 600}


@pytest.mark.parametrize("options", [[], ["-k"]], ids=["closing", "keeping connections"])
def test_ab_is_answered_at_its_rate(options, server, run_client, tmp_path):
    program = shutil.which("ab")
    if program is None:
        pytest.skip("needs ab (apt install apache2-utils)")
    body = tmp_path / "body"
    body.write_text('{"input": "red"}')
    load = ["-l", "-n", "1000", "-c", "20", "-p", body, "-T", "application/json", *options]
    printed = run_client([program, *load, f"{server.url}/v1/embeddings"], server)
    assert "Complete requests:      1000" in printed
    assert re.search(r"Failed requests: +0\n", printed)
    assert "Non-2xx" not in printed
