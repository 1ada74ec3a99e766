"""Random requests: every response has its described form, is not a 5xx, and is in time."""

import contextlib
import random
from typing import Any

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

PREDICT = "/v1/models/tiny:predict"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
QUIET = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
SIGNATURES = ["serving_default", "score", "tokenize", "encode_tokens", "", "x"]


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def check(answer: httpx.Response) -> Any:
    assert answer.status_code < 500, answer.text
    body = orjson.loads(answer.content)
    if answer.status_code >= 400:
        assert list(body) == ["error"]
    return body


@QUIET
@given(
    key=st.sampled_from(["instances", "inputs"]),
    value=json_values
    | st.lists(st.text(), min_size=1, max_size=5)
    | st.lists(st.lists(st.integers(-5, 1100), max_size=40), max_size=4)
    | st.fixed_dictionaries(
        {"context": st.lists(st.text(), max_size=3), "response": st.lists(st.text(), max_size=3)}
    ),
    signature=st.sampled_from(SIGNATURES),
)
def test_predict_responds_to_any_json(client, key, value, signature):
    try:
        body = orjson.dumps({key: value, "signature_name": signature})
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return
    check(client.post(PREDICT, content=body))


@QUIET
@given(value=json_values, encoding=st.sampled_from(["float", "base64", None, 3]))
def test_embeddings_respond_to_any_json(client, value, encoding):
    try:
        body = orjson.dumps({"input": value, "encoding_format": encoding, "dimensions": value})
    except TypeError:
        return
    check(client.post("/v1/embeddings", content=body))


def test_damaged_bodies_get_a_response(client):
    rng = random.Random(7)
    good = b'{"signature_name": "serving_default", "instances": ["hello", {"text": "a"}]}'
    for _ in range(300):
        body = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        start = rng.randrange(len(body))
        del body[start : start + rng.randint(0, 3)]
        path = rng.choice([PREDICT, "/v1/embeddings", "/tokenize"])
        check(client.post(path, content=bytes(body)))


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"inputs":' + b"[" * 1500, b"\xff" * 1000, b'"' * 9999],
)
def test_deeply_nested_and_broken_bodies_are_refused(client, body):
    assert client.post(PREDICT, content=body).status_code == 400


def test_responses_match_the_openapi_description(server):
    """Sends generated requests, valid and invalid ones."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 23
    for operation in operations:
        # The same handlers as without a version or a label.
        examples = 4 if "{version}" in operation.path or "{label}" in operation.path else 15
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _exercise(operation, mode, examples)


def _exercise(operation, mode, examples):
    @settings(QUIET, max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        case.call_and_validate(checks=CHECKS, timeout=20)

    with contextlib.suppress(Unsatisfiable):  # GET /health has no invalid form
        run()
