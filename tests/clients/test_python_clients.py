"""Public Python clients, each in a process of an environment of `make test-clients`."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients

BUILD = Path(__file__).resolve().parents[2] / "build"
FOLDER = Path(__file__).parent / "python"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "connection")
# The environments of the scripts, named after their locks; the others run in `clients`.
ENVIRONMENTS = {"tensorflow_serving_client": "clients-protobuf3"}
# The endpoints that these clients use are guarded by a key, which they all can send.
WITH_KEY = {"openai_client", "haystack_client", "langchain_client"}
TEXTS = ["red green blue", "x y z", "Was für ein Tag? 🙂", "red green " * 8]


def python_of(script):
    python = BUILD / ENVIRONMENTS.get(script, "clients") / "bin" / "python"
    if not python.exists():
        pytest.skip("needs an environment that `make test-clients` installs")
    return python


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_client_receives_the_vectors_of_a_plain_request(
    script, request, run_client, check_vectors
):
    python = python_of(script)
    guarded = script in WITH_KEY
    server = request.getfixturevalue("guarded" if guarded else "server")
    printed = run_client(
        [python, FOLDER / f"{script}.py"], server, key="sesame" if guarded else "", texts=TEXTS
    )
    uses = json.loads(printed)
    assert uses
    for vectors in uses.values():
        check_vectors(vectors, TEXTS)
