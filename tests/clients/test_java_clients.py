"""Public Java clients, each a class of tests/clients/java (`make test-clients-all`)."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients

BUILD = Path(__file__).resolve().parents[2] / "build" / "java-clients"
CLIENTS = [
    *(("plain", name) for name in ("OpenAi", "JdkClient", "OkHttp", "ApacheHttp", "LangChain4j")),
    ("springai1", "SpringAi1"),
    ("springai2", "SpringAi2"),
]
TEXTS = ["red green blue", "x y z", "Was für ein Tag? 🙂", "red green " * 8]


@pytest.mark.parametrize(("module", "name"), CLIENTS)
def test_a_client_receives_the_vectors_of_a_plain_request(
    module, name, tool, server, run_client, check_vectors
):
    classpath = BUILD / module / "classpath"
    if not classpath.exists():
        pytest.skip("needs the classes that `make test-clients-all` compiles with Maven")
    classes = f"{BUILD / module / 'classes'}:{classpath.read_text()}"
    command = [tool("java"), "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", classes]
    uses = json.loads(run_client([*command, name], server, texts=TEXTS))
    assert uses
    for vectors in uses.values():
        check_vectors(vectors, TEXTS)
