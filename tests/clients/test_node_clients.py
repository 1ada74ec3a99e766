"""Public Node clients, each in a process of its own, with the packages of `package-lock.json`."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients

FOLDER = Path(__file__).parent / "node"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*_client.js"))
TEXTS = ["red green blue", "x y z", "Was für ein Tag? 🙂", "red green " * 8]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_client_receives_the_vectors_of_a_plain_request(
    script, tool, server, run_client, check_vectors
):
    if not (FOLDER / "node_modules" / ".installed").exists():
        pytest.skip("needs the packages that `make test-clients` installs")
    uses = json.loads(run_client([tool("node"), FOLDER / f"{script}.js"], server, texts=TEXTS))
    assert uses
    for vectors in uses.values():
        check_vectors(vectors, TEXTS)
