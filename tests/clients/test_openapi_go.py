"""The Go client that oapi-codegen makes of the served OpenAPI description."""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.clients

MODULE = Path(__file__).parent / "openapi_go"
GENERATOR = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
TEXTS = ["red green blue", "x y z", "Was für ein Tag? 🙂"]


def test_a_generated_go_client_receives_the_vectors_of_every_api(
    server, tool, run_client, check_vectors, tmp_path
):
    go = tool("go")
    folder = shutil.copytree(MODULE, tmp_path / "client")
    (folder / "openapi.json").write_bytes(httpx.get(f"{server.url}/openapi.json").content)
    generate = ["-generate=types,client", "-package=main", "-o=client.go", "openapi.json"]
    made = subprocess.run(
        [go, "run", GENERATOR, *generate], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert made.returncode == 0, made.stderr
    vectors = json.loads(run_client([go, "run", "."], server, texts=TEXTS, cwd=folder))
    assert set(vectors) == {"predict", "embeddings", "cohere_embed", "tei_embed"}
    for found in vectors.values():
        check_vectors(found, TEXTS)
