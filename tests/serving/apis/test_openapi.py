"""The OpenAPI description states what the routes and the request checks do."""

from unittest.mock import MagicMock

import orjson
import pytest
from starlette.routing import Route

from rejoinder.serving.apis.openapi import describe
from rejoinder.serving.apis.operations import OPERATIONS
from rejoinder.serving.apis.schemas.body import check
from rejoinder.serving.apis.schemas.openai import EmbeddingsRequest
from rejoinder.serving.apis.schemas.tei import SimilarityRequest
from rejoinder.serving.errors import ServingError
from rejoinder.serving.http import app
from rejoinder.serving.limits import Limits


@pytest.fixture(scope="module")
def description():
    return describe(Limits(max_items=7, max_characters=99), guarded=True)


def operations(description):
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_bounds_are_the_server_s_limits(description):
    request = description["components"]["schemas"]["EmbeddingsRequest"]
    text, texts, ids, rows = request["properties"]["input"]["anyOf"]
    assert text["maxLength"] == texts["items"]["maxLength"] == 99
    assert texts["maxItems"] == rows["maxItems"] == 7
    assert "maxItems" not in ids


def test_every_operation_has_a_name_and_its_errors(description):
    described = dict(operations(description))
    names = [operation["operationId"] for operation in described.values()]
    assert names == list(OPERATIONS)
    for name, operation in described.items():
        statuses = set(operation["responses"])
        assert {"200", "403", "431", "500"} <= statuses
        assert ("401" in statuses) == (operation.get("security") != [])
        assert ({"400", "408", "413", "415", "429", "504"} <= statuses) == name.startswith("POST")
    assert "503" in described["GET /ready"]["responses"]
    for choice in ("", "/versions/{version}", "/labels/{label}"):
        predict = described[f"POST /v1/models/{{name}}{choice}:predict"]
        assert {"400", "404"} <= set(predict["responses"])


def test_a_key_is_needed_only_where_keys_are_set(description):
    assert description["security"] == [{"bearer": []}]
    assert describe(Limits(), guarded=False)["security"] == [{}, {"bearer": []}]
    assert description["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert description["servers"][0]["url"] == "/"


def test_every_reference_has_a_schema_and_every_schema_a_reference(description):
    text = orjson.dumps(description).decode()
    for name in description["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
    assert text.count('"$ref"') == text.count('"#/components/schemas/')


def test_every_field_of_a_request_says_what_it_must_be():
    for operation in OPERATIONS.values():
        for model in operation.requests:
            if model.__name__.startswith("PredictBy"):
                continue  # checked with TensorFlow Serving's messages
            missing = [name for name, field in model.model_fields.items() if not field.description]
            assert (model.__name__, missing) == (model.__name__, [])


@pytest.mark.parametrize(
    ("model", "document", "message"),
    [
        (EmbeddingsRequest, {}, "input must be a string, a non-empty list of strings, token ids, "),
        (EmbeddingsRequest, {"input": [["a"]]}, "input must be a string, a non-empty list"),
        (EmbeddingsRequest, {"input": [5, True]}, "input must be a string, a non-empty list"),
        (EmbeddingsRequest, {"input": [5, 2**31]}, "input must be a string, a non-empty list"),
        (EmbeddingsRequest, {"input": "a", "dimensions": True}, "dimensions must be a whole "),
        (EmbeddingsRequest, {"input": "a", "dimensions": 4.0}, "dimensions must be a whole "),
        (EmbeddingsRequest, {"input": "a", "model": 1}, "model must be a string, the name "),
        (
            EmbeddingsRequest,
            {"input": "a", "encoding_format": 3},
            "encoding_format must be ",
        ),
        (EmbeddingsRequest, {"input": "a", "auto_truncate": 1}, "auto_truncate must be true or "),
        (SimilarityRequest, {"inputs": {"sentences": ["a"]}}, 'inputs must be {"source_sentence"'),
        (
            SimilarityRequest,
            {"inputs": {"source_sentence": "a", "sentences": ["a", 1]}},
            "inputs.sentences must be a non-empty list of strings",
        ),
        (
            SimilarityRequest,
            {
                "inputs": {"source_sentence": "a", "sentences": ["a"]},
                "parameters": {"truncate": "x"},
            },
            "parameters.truncate must be true or false",
        ),
    ],
)
def test_an_error_is_one_line_that_names_the_field(model, document, message):
    with pytest.raises(ServingError) as error:
        check(model, document)
    assert error.value.message.startswith(message)
    assert "\n" not in error.value.message


def test_every_route_is_described_and_every_operation_is_routed(app_routes):
    described = {(operation.method, operation.path) for operation in OPERATIONS.values()}
    models = {pair for pair in described if pair[1].startswith("/v1/models/")}
    pages = {"/openapi.json", "/docs", "/"}
    routed = {
        (method, route.path)
        for route in app_routes
        for method in route.methods - {"HEAD"}
        if not (method == "GET" and (route.path in pages or route.path.endswith((".js", ".css"))))
        and route.path != "/v1/{rest:path}"
    }
    assert routed == described - models


@pytest.fixture
def app_routes(monkeypatch):
    """The routes of an application without a model."""
    found = []

    class Recorder:
        def __init__(self, *, routes, **options):
            found.extend(routes)

    monkeypatch.setattr(app, "Starlette", Recorder)
    service = MagicMock(limits=Limits(), origins=[], hosts=[])
    service.registry.names = ["reddit"]
    app.build_app(service)
    assert all(isinstance(route, Route) for route in found)
    return found
