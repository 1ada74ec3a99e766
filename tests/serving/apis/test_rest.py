"""TensorFlow Serving's REST API, request by request.

Statuses and messages are those of `http_rest_api_handler.cc`, `json_tensor.cc` and
`server_core.cc`.
"""

import base64
import json

import httpx
import numpy as np
import pytest

PREDICT = "/v1/models/tiny:predict"
TEXTS = ["hello there", "a b c", ""]


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.url) as client:
        yield client


def test_instances_give_predictions_by_row(client, vectors):
    answer = client.post(PREDICT, json={"instances": TEXTS})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    predictions = answer.json()["predictions"]
    assert [set(row) for row in predictions] == [{"embedding", "num_tokens", "truncated"}] * 3
    got = np.array([row["embedding"] for row in predictions])
    np.testing.assert_allclose(got, vectors(TEXTS), atol=1e-6)
    assert [row["num_tokens"] for row in predictions] == [4, 5, 2]


def test_inputs_give_outputs_by_column(client, vectors):
    answer = client.post(PREDICT, json={"inputs": TEXTS}).json()
    assert set(answer["outputs"]) == {"embedding", "num_tokens", "truncated"}
    np.testing.assert_allclose(answer["outputs"]["embedding"], vectors(TEXTS), atol=1e-6)
    assert answer["outputs"]["truncated"] == [False, False, False]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"text": "hello"}]},
        {"instances": [{"b64": base64.b64encode(b"hello").decode()}]},
        {"instances": [{"text": {"b64": base64.b64encode(b"hello").decode()}}]},
        {"signature_name": "encode_context", "instances": ["hello"]},
        {"signature_name": "encode_response", "instances": ["hello"]},
        {"signature_name": "serving_default", "instances": ["hello"]},
    ],
)
def test_one_text_can_be_sent_in_several_forms(client, vectors, body):
    rows = client.post(PREDICT, json=body).json()["predictions"]
    np.testing.assert_allclose([rows[0]["embedding"]], vectors(["hello"]), atol=1e-6)


def test_named_columns(client, vectors):
    body = {"signature_name": "score", "inputs": {"context": TEXTS, "response": TEXTS[::-1]}}
    scores = client.post(PREDICT, json=body).json()["outputs"]
    encoded = vectors(TEXTS)
    np.testing.assert_allclose(scores, np.sum(encoded * encoded[::-1], -1), atol=1e-6)


def test_earlier_turns_of_a_context(client, vectors):
    turns = ["", "a b", "c"]
    columns = {"text": TEXTS, "extra_contexts": turns}
    body = {"signature_name": "encode_multi_context", "inputs": columns}
    out = client.post(PREDICT, json=body).json()["outputs"]
    alone, earlier = vectors(TEXTS), vectors(turns)
    both = alone + earlier
    both /= np.linalg.norm(both, axis=-1, keepdims=True)
    expected = np.where(np.array(turns)[:, np.newaxis] == "", alone, both)
    np.testing.assert_allclose(out["embedding"], expected, atol=1e-6)
    assert out["num_tokens"] == [4, 5 + 4, 2 + 3]
    rows = [{"text": t, "extra_contexts": e} for t, e in zip(TEXTS, turns, strict=True)]
    body = {"signature_name": "encode_multi_context", "instances": rows}
    found = client.post(PREDICT, json=body).json()["predictions"]
    np.testing.assert_allclose([row["embedding"] for row in found], expected, atol=1e-6)
    body["instances"][0]["extra_contexts"] = "y " * 100
    assert client.post(PREDICT, json=body).json()["predictions"][0]["truncated"]


def test_named_rows_with_a_single_output_are_plain_values(client):
    body = {"signature_name": "score", "instances": [{"context": "a b", "response": "a b"}]}
    assert client.post(PREDICT, json=body).json()["predictions"] == pytest.approx([1.0])


def test_tokenize_then_encode_tokens(client, vectors):
    body = {"signature_name": "tokenize", "inputs": TEXTS}
    tokens = client.post(PREDICT, json=body).json()["outputs"]
    assert tokens["num_tokens"] == [4, 5, 2]
    body = {"signature_name": "encode_tokens", "inputs": {"token_ids": tokens["token_ids"]}}
    got = client.post(PREDICT, json=body).json()["outputs"]
    np.testing.assert_allclose(got, vectors(TEXTS), atol=1e-6)


@pytest.mark.parametrize("ids", [[[]], [[], []], [[1, 1]]])
def test_rows_without_tokens_have_a_zero_embedding(client, ids):
    body = {"signature_name": "encode_tokens", "inputs": ids}
    answer = client.post(PREDICT, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"] == [[0.0] * 16] * len(ids)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": ["a", "long " * 100]},
        {"signature_name": "tokenize", "inputs": ["a", "long " * 100]},
        {"signature_name": "score", "inputs": {"context": ["a"] * 2, "response": ["b", "c " * 99]}},
    ],
)
def test_truncated_texts_are_named_in_a_header_or_refused(client, body):
    answer = client.post(PREDICT, json=body)
    assert answer.headers["x-truncated"] == "1"
    answer = client.post(PREDICT, json={**body, "auto_truncate": False})
    assert answer.status_code == 400
    assert "input 1 has more than 32 tokens; shorten it" in answer.json()["error"]
    answer = client.post(PREDICT, json={**body, "auto_truncate": "no"})
    assert answer.json() == {"error": "auto_truncate must be true or false"}


@pytest.mark.parametrize("choice", ["", "/versions/1", "/labels/stable"])
def test_versions_and_labels(client, choice):
    assert client.post(f"/v1/models/tiny{choice}:predict", json={"inputs": ["a"]}).is_success
    status = client.get(f"/v1/models/tiny{choice}").json()
    if not choice:  # also OpenAI's description of the model
        assert (status.pop("id"), status.pop("object")) == ("tiny", "model")
        assert (status.pop("created"), status.pop("owned_by")) == (0, "rejoinder")
    assert status == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


def test_paths_ignore_case_but_names_do_not(client):
    assert client.post("/V1/Models/tiny:PREDICT", json={"inputs": ["a"]}).status_code == 404
    assert client.post("/v1/Models/tiny:PREDICT", json={"inputs": ["a"]}).status_code == 200
    assert client.post("/v1/models/TINY:predict", json={"inputs": ["a"]}).status_code == 404


def test_metadata(client):
    metadata = client.get("/v1/models/tiny/metadata").json()
    assert metadata["model_spec"] == {"name": "tiny", "signature_name": "", "version": "1"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    assert default["inputs"]["text"]["dtype"] == "DT_STRING"
    assert default["inputs"]["text"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    assert set(default["outputs"]) == {"embedding", "num_tokens", "truncated"}


ROW = "Failed to process element: "
ERRORS = [
    ("", 400, "JSON Parse error: The document is empty"),
    ("{", 400, "JSON Parse error: "),
    ('{"instances": ["\\ud800"]}', 400, "JSON Parse error: "),
    ("[]", 400, "JSON Value: [] Is not object"),
    ("{}", 400, "Missing 'inputs' or 'instances' key"),
    ('{"instances": "a"}', 400, "Excepting 'instances' to be an list/array"),
    ('{"instances": []}', 400, "No values in 'instances' array"),
    (
        '{"instances": ["a"], "inputs": ["a"]}',
        400,
        "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
    ),
    (
        '{"instances": [5]}',
        400,
        f"{ROW}0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 5 Type: Number "
        "is not of expected type: string",
    ),
    ('{"instances": [null]}', 400, "JSON Value: null Type: Null is not of expected type: string"),
    ('{"instances": [true]}', 400, "JSON Value: true Type: True is not of expected type: string"),
    ('{"instances": ["a", {"text": "b"}]}', 400, "Expecting value/list but got object at item 1"),
    ('{"instances": [{"text": "b"}, "a"]}', 400, "Expecting object but got list at item 1"),
    ('{"instances": [{"x": "b"}]}', 400, "JSON object: does not have named input: x"),
    ('{"instances": [{}]}', 400, "keys must be equal to: text"),
    ('{"instances": ["a", ["b"]]}', 400, "Expecting shape [] but got: [1]"),
    ('{"instances": ["a", ["b", "c"]]}', 400, "Expecting tensor size: 1 but got: 2"),
    ('{"instances": [["a"]]}', 400, 'input "text" must be a list of strings'),
    ('{"instances": [["a", ["b"]]]}', 400, "Encountered list at unexpected level: 1 expected < 1"),
    ('{"inputs": [["a"], "b"]}', 400, "found at incorrect level: 2 in the JSON DOM. Expected at"),
    ('{"inputs": [["a"], []]}', 400, "Encountered list at unexpected size: 0 at level: 1"),
    ('{"inputs": "a"}', 400, 'input "text" must be a list of strings'),
    ('{"inputs": {"x": []}}', 400, "Missing named input: text in 'inputs' object."),
    ('{"instances": [{"b64": "%"}]}', 400, "Unable to base64 decode"),
    ('{"instances": [{"text": {"b64": 1}}]}', 400, "not formatted correctly for base64 data"),
    (
        '{"signature_name": 100}',
        400,
        "not formatted correctly. 'signature_name' key must be a string value.",
    ),
    (
        '{"signature_name": "nope", "instances": ["a"]}',
        400,
        'Serving signature name: "nope" not found in signature def',
    ),
    (
        '{"signature_name": "score", "instances": ["a"]}',
        400,
        "instances is a plain list, but expecting list of objects as multiple input tensors "
        "required as per tensorinfo_map",
    ),
    (
        '{"signature_name": "score", "inputs": ["a"]}',
        400,
        "inputs is a plain value/list, but expecting an object as multiple input tensors "
        "required as per tensorinfo_map",
    ),
    (
        '{"signature_name": "score", "inputs": {"context": ["a"], "response": []}}',
        400,
        "context and response must have as many rows; got 1 and 0",
    ),
    (
        '{"signature_name": "encode_multi_context", "inputs": {"text": ["a"], '
        '"extra_contexts": []}}',
        400,
        "text and extra_contexts must have as many rows; got 1 and 0",
    ),
    (
        '{"signature_name": "encode_tokens", "instances": [[1000]]}',
        400,
        "token ids must be at least 0 and below 1000",
    ),
    (
        '{"signature_name": "encode_tokens", "instances": [[1.5]]}',
        400,
        "Type: Number is not of expected type: int32",
    ),
    (
        '{"signature_name": "encode_tokens", "instances": [[3000000000]]}',
        400,
        "is not of expected type: int32",
    ),
    (
        json.dumps({"signature_name": "encode_tokens", "inputs": [[5] * 33]}),
        400,
        "token_ids must have at most 32 columns",
    ),
    (json.dumps({"instances": ["a"] * 65}), 400, "request has 65 items, the limit is 64"),
    (json.dumps({"instances": ["a" * 32769]}), 400, "text 0 is longer than 32768 characters"),
    (f'{{"inputs": {"[" * 900 + "]" * 900}}}', 400, "lists are nested more than 8 deep"),
]


@pytest.mark.parametrize(("body", "status", "message"), ERRORS)
def test_errors_in_the_body(client, body, status, message):
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/x:predict", 404, "Servable not found for request: Latest(x)"),
        (
            "POST",
            "/v1/models/tiny/versions/9:predict",
            404,
            "Servable not found for request: Specific(tiny, 9)",
        ),
        (
            "POST",
            "/v1/models/tiny/labels/x:predict",
            400,
            "Unrecognized servable version label: x",
        ),
        (
            "POST",
            "/v1/models/tiny/versions/99999999999999999999:predict",
            400,
            "Failed to convert version: 99999999999999999999 to numeric.",
        ),
        (
            "POST",
            "/v1/models/tiny:classify",
            400,
            "Expected classification signature method_name to be tensorflow/serving/classify. "
            "Was: tensorflow/serving/predict",
        ),
        ("GET", PREDICT, 400, f"Malformed request: GET {PREDICT}"),
        ("PUT", PREDICT, 400, f"Malformed request: PUT {PREDICT}"),
        ("POST", "/v1/models/tiny:train", 400, "Malformed request: POST /v1/models/tiny:train"),
        ("GET", "/v1/models/x", 404, "Could not find any versions of model x"),
        ("GET", "/v1/models/tiny/versions/9", 404, "Could not find version 9 of model tiny"),
        ("GET", "/v1/models/x/metadata", 404, "Servable not found for request: Latest(x)"),
        (
            "GET",
            "/v1/models/..%2F..%2Fetc%2Fpasswd",
            404,
            "Could not find any versions of model ../../etc/passwd",
        ),
    ],
)
def test_errors_in_the_path(client, method, path, status, message):
    answer = client.request(method, path, content='{"inputs": ["a"]}')
    assert (answer.status_code, answer.json()) == (status, {"error": message})


def test_errors_have_tensorflow_serving_whitespace(client):
    answer = client.post(PREDICT, content="{}")
    assert answer.text == "{\n    \"error\": \"Missing 'inputs' or 'instances' key\"\n}"


def test_invalid_utf8_is_replaced_not_refused(client):
    body = {"instances": [{"b64": base64.b64encode(b"\xff\xfe hello").decode()}, "hello"]}
    assert client.post(PREDICT, json=body).status_code == 200
