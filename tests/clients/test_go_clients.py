"""Public Go clients, each a program of tests/clients/go, which `make test-clients-all` builds."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients

BUILD = Path(__file__).resolve().parents[2] / "build" / "go-clients"
FOLDER = Path(__file__).parent / "go"
CLIENTS = sorted(path.name for path in FOLDER.glob("*_client"))
TEXTS = ["red green blue", "x y z", "Was für ein Tag? 🙂", "red green " * 8]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_receives_the_vectors_of_a_plain_request(
    client, server, run_client, check_vectors
):
    program = BUILD / client
    if not program.exists():
        pytest.skip("needs the programs that `make test-clients-all` builds with Go")
    uses = json.loads(run_client([program], server, texts=TEXTS))
    assert uses
    for vectors in uses.values():
        check_vectors(vectors, TEXTS)
