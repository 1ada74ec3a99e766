"""The OpenAPI description of the HTTP interface, served at `/openapi.json`."""

from typing import Any

from rejoinder.serving.apis.search import MAX_ANSWERS
from rejoinder.serving.limits import Limits
from rejoinder.versions import installed_version

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_IDS = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}


def describe(limits: Limits, *, guarded: bool) -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document.

    Args:
        limits: Bounds for the schemas.
        guarded: Whether requests need a bearer key.
    """
    description: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Rejoinder",
            "version": installed_version("rejoinder") or "0",  # "0" in a checkout
            "description": "Sentence embeddings: TensorFlow Serving's REST API and "
            "OpenAI's embeddings API for the same models.",
        },
        "paths": {
            "/v1/models/{name}:predict": {"post": _predict(limits)},
            "/v1/models/{name}": {"get": _read("Versions of a model and their states", name=True)},
            "/v1/models/{name}/metadata": {"get": _read("Signatures of a model", name=True)},
            "/v1/models": {"get": _read("Names of the served models")},
            "/v1/embeddings": {"post": _embeddings(limits)},
            "/tokenize": {"post": _tokenize(limits)},
            "/embed": {"post": _tei_embed(limits)},
            "/similarity": {"post": _tei_similarity(limits)},
            "/info": {"get": _read("The model and the limits (Text Embeddings Inference)")},
            "/search": {"post": _search(limits)},
            "/indexes": {"get": _read("Indexes that /search can use")},
            "/health": {"get": _read("Whether the process responds", public=True)},
            "/ready": {
                "get": _read(
                    "Whether the server accepts requests; 503 while it drains", public=True
                )
            },
            "/metrics": {"get": _read("Prometheus metrics", media_type="text/plain")},
        },
        "components": {
            "schemas": {
                "Error": _object({"error": {"type": "string"}}, required=["error"]),
                "OpenAiError": _object(
                    {
                        "error": _object(
                            {
                                "message": {"type": "string"},
                                "type": {"type": "string"},
                                "param": {"type": ["string", "null"]},
                                "code": {"type": ["string", "null"]},
                            },
                            required=["message", "type"],
                        )
                    },
                    required=["error"],
                ),
                "TeiError": _object(
                    {"error": {"type": "string"}, "error_type": {"type": "string"}},
                    required=["error", "error_type"],
                ),
            }
        },
    }
    if guarded:
        description["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"}
        }
        description["security"] = [{"bearer": []}]
    return description


def _predict(limits: Limits) -> dict[str, Any]:
    text = {"type": "string", "maxLength": limits.max_characters}
    pair = _object({"context": text, "response": text}, required=["context", "response"])
    pair["additionalProperties"] = False
    named = _object({"text": text}, required=["text"])
    named["additionalProperties"] = False
    ids = _object({"token_ids": _IDS}, required=["token_ids"])
    ids["additionalProperties"] = False
    items = {"minItems": 1, "maxItems": limits.max_items}
    signature = {
        "type": "string",
        "enum": [
            "serving_default",
            "encode_context",
            "encode_response",
            "score",
            "tokenize",
            "encode_tokens",
        ],
    }
    by_row = _object(
        {
            "signature_name": signature,
            "instances": {
                "type": "array",
                **items,
                "items": {"anyOf": [text, named, pair, ids, _IDS]},
            },
        },
        required=["instances"],
    )
    by_column = _object({"signature_name": signature, "inputs": {}}, required=["inputs"])
    operation = _operation(
        "Run a signature (TensorFlow Serving's predict)",
        {"anyOf": [by_row, by_column]},
        {
            "anyOf": [
                _object({"predictions": {"type": "array"}}, required=["predictions"]),
                _object({"outputs": {}}, required=["outputs"]),
            ]
        },
        "Error",
    )
    operation["parameters"] = [_name_parameter()]
    operation["responses"]["404"] = _error("No such model or version", "Error")
    return operation


def _embeddings(limits: Limits) -> dict[str, Any]:
    text = {"type": "string", "maxLength": limits.max_characters}
    rows = {"minItems": 1, "maxItems": limits.max_items}
    request = _object(
        {
            "model": {"type": "string"},
            "input": {
                "anyOf": [
                    text,
                    {"type": "array", "items": text, **rows},
                    _IDS,
                    {"type": "array", "items": _IDS, **rows},
                ]
            },
            "encoding_format": {"enum": ["float", "base64"]},
            "dimensions": {"type": "integer", "minimum": 1},
            "user": {"type": "string"},
        },
        required=["input"],
    )
    embedding = _object(
        {
            "object": {"const": "embedding"},
            "index": {"type": "integer"},
            "embedding": {"anyOf": [_NUMBERS, {"type": "string"}]},
        },
        required=["object", "index", "embedding"],
    )
    response = _object(
        {
            "object": {"const": "list"},
            "model": {"type": "string"},
            "data": {"type": "array", "items": embedding},
            "usage": _object(
                {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}},
                required=["prompt_tokens", "total_tokens"],
            ),
        },
        required=["object", "model", "data", "usage"],
    )
    operation = _operation("Embed texts (OpenAI's embeddings)", request, response, "OpenAiError")
    operation["responses"]["404"] = _error("No such model", "OpenAiError")
    return operation


def _tokenize(limits: Limits) -> dict[str, Any]:
    text = {"type": "string", "maxLength": limits.max_characters}
    many = {"type": "array", "items": text, "minItems": 1, "maxItems": limits.max_items}
    request = _object(
        {"model": {"type": "string"}, "input": {"anyOf": [text, many]}}, required=["input"]
    )
    response = _object(
        {
            "model": {"type": "string"},
            "token_ids": {"type": "array", "items": _IDS},
            "num_tokens": {"type": "array", "items": {"type": "integer"}},
            "truncated": {"type": "array", "items": {"type": "boolean"}},
        },
        required=["model", "token_ids", "num_tokens", "truncated"],
    )
    operation = _operation("Tokenize texts", request, response, "Error")
    operation["responses"]["404"] = _error("No such model", "Error")
    return operation


def _tei_embed(limits: Limits) -> dict[str, Any]:
    text = {"type": "string", "maxLength": limits.max_characters}
    many = {"type": "array", "items": text, "minItems": 1, "maxItems": limits.max_items}
    request = _object(
        {
            "inputs": {"anyOf": [text, many]},
            "truncate": {"type": ["boolean", "null"]},
            "normalize": {"const": True},
        },
        required=["inputs"],
    )
    response = {"type": "array", "items": _NUMBERS}
    return _operation(
        "Embed texts (Text Embeddings Inference; also POST /)", request, response, "TeiError"
    )


def _tei_similarity(limits: Limits) -> dict[str, Any]:
    text = {"type": "string", "maxLength": limits.max_characters}
    sentences = {"type": "array", "items": text, "minItems": 1, "maxItems": limits.max_items - 1}
    inputs = _object(
        {"source_sentence": text, "sentences": sentences}, required=["source_sentence", "sentences"]
    )
    parameters = _object({"truncate": {"type": ["boolean", "null"]}}, required=[])
    request = _object({"inputs": inputs, "parameters": parameters}, required=["inputs"])
    return _operation(
        "Cosine of one sentence with others (Text Embeddings Inference)",
        request,
        _NUMBERS,
        "TeiError",
    )


def _search(limits: Limits) -> dict[str, Any]:
    request = _object(
        {
            "index": {"type": "string"},
            "input": {"type": "string", "maxLength": limits.max_characters},
            "k": {"type": "integer", "minimum": 1, "maximum": MAX_ANSWERS},
            "model": {"type": "string"},
        },
        required=["index", "input"],
    )
    found = _object(
        {
            "text": {"type": "string"},
            "score": {"type": "number"},
            "fields": {"type": "object"},
        },
        required=["text", "score"],
    )
    response = _object(
        {
            "index": {"type": "string"},
            "model": {"type": "string"},
            "num_tokens": {"type": "integer"},
            "answers": {"type": "array", "items": found},
        },
        required=["index", "model", "num_tokens", "answers"],
    )
    operation = _operation("Find the nearest texts of an index", request, response, "Error")
    operation["responses"]["404"] = _error("No such index or model", "Error")
    return operation


def _operation(
    summary: str, request: dict[str, Any], response: dict[str, Any], error: str
) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": {
                "description": "Success",
                "content": {"application/json": {"schema": response}},
            },
            "400": _error("The request is invalid", error),
            "401": _error("A bearer key is needed", error),
            "408": _error("The body took too long", error),
            "403": _error("The Host is not a name of this server", error),
            "413": _error("The body is too large", error),
            "415": _error("The body has another Content-Encoding than gzip", error),
            "429": _error("The server is overloaded; retry after Retry-After seconds", error),
            "504": _error("The request took too long", error),
        },
    }


def _read(
    summary: str,
    *,
    name: bool = False,
    public: bool = False,
    media_type: str = "application/json",
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": "Success", "content": {media_type: {}}}},
    }
    if name:
        operation["parameters"] = [_name_parameter()]
        operation["responses"]["400"] = _error("Malformed path", "Error")
        operation["responses"]["404"] = _error("No such model", "Error")
    if public:
        operation["security"] = []
    else:
        operation["responses"]["401"] = _error("A bearer key is needed", "Error")
    return operation


def _name_parameter() -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$"}
    return {"name": "name", "in": "path", "required": True, "schema": schema}


def _error(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _object(properties: dict[str, Any], *, required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}
