"""OpenAI's embeddings API, `/tokenize`, and the list of models.

Requests and responses follow OpenAI's `POST /v1/embeddings`. Token arrays are ids of
the served model's own vocabulary, `<s>` and `</s>` included, as `/tokenize` returns
them.
"""

import base64
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from rejoinder.serving.apis.json_tensors import parse_object
from rejoinder.serving.apis.responses import json_response
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, ServingError, invalid

_TYPES = {
    Code.UNAUTHENTICATED: "authentication_error",
    Code.RESOURCE_EXHAUSTED: "rate_limit_error",
    Code.INTERNAL: "server_error",
    Code.DEADLINE_EXCEEDED: "server_error",
}
# Indices in the header of truncated texts.
_MOST_INDICES = 500


def openai_error(error: ServingError) -> bytes:
    """Returns an error body in OpenAI's form."""
    return orjson.dumps(
        {
            "error": {
                "message": error.message,
                "type": _TYPES.get(error.code, "invalid_request_error"),
                "param": None,
                "code": "model_not_found" if error.code is Code.NOT_FOUND else None,
            }
        }
    )


class OpenAiApi:
    """Handlers for the endpoints that OpenAI's clients call."""

    def __init__(self, registry: Registry, predictor: Predictor):
        self._registry = registry
        self._predictor = predictor

    async def embeddings(self, request: Request, body: bytes) -> Response:
        """`POST /v1/embeddings`."""
        document = parse_object(body)
        name, version = self._version(document)
        encoding = document.get("encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise invalid("encoding_format must be 'float' or 'base64'")
        dimensions = _dimensions(document, version)
        embeddings, tokens, truncated = await self._embed(_input(document), version)
        if dimensions < embeddings.shape[1]:
            embeddings = np.ascontiguousarray(embeddings[:, :dimensions])
            lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
            embeddings = embeddings / np.maximum(lengths, 1e-12)
        cells = [_base64(row) for row in embeddings] if encoding == "base64" else list(embeddings)
        response = json_response(
            {
                "object": "list",
                "data": [
                    {"object": "embedding", "index": index, "embedding": cell}
                    for index, cell in enumerate(cells)
                ],
                "model": name,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )
        if any(truncated):
            indices = [str(index) for index, cut in enumerate(truncated) if cut]
            response.headers["X-Truncated"] = ",".join(indices[:_MOST_INDICES])
        return response

    async def tokenize(self, request: Request, body: bytes) -> Response:
        """`POST /tokenize`: `{"input": text or texts, "model"?}` → ids, counts, truncation."""
        document = parse_object(body)
        name, version = self._version(document)
        texts = _input(document)
        if texts and not isinstance(texts[0], bytes):
            raise invalid("input must be a string or a list of strings")
        tokens = await self._predictor.tokenize(version, texts)
        return json_response(
            {
                "model": name,
                "token_ids": [row.tolist() for row in tokens.rows],
                "num_tokens": [len(row) for row in tokens.rows],
                "truncated": tokens.truncated,
            }
        )

    async def models(self, request: Request, body: bytes) -> Response:
        """`GET /v1/models`, which TensorFlow Serving answers with an error."""
        entries = [model_entry(name) for name in self._registry.names]
        return json_response({"object": "list", "data": entries})

    async def unknown(self, request: Request, body: bytes) -> Response:
        """Any other path under `/v1/`."""
        raise ServingError(Code.NOT_FOUND, f"Unknown request URL: {request.method} is not offered")

    async def _embed(
        self, rows: list[Any], version: ModelVersion
    ) -> tuple[np.ndarray, int, list[bool]]:
        """Returns float32 [n, d], the number of tokens, and whether each text was truncated."""
        if isinstance(rows[0], bytes):
            embeddings, tokens = await self._predictor.embed(version, rows)
            return embeddings, sum(len(row) for row in tokens.rows), list(tokens.truncated)
        for index, row in enumerate(rows):
            if (row[0], row[-1]) != (version.first_id, version.last_id):
                raise invalid(
                    f"input {index} is not a text's token ids as /tokenize of this server returns "
                    f"them, from {version.first_id} to {version.last_id}; send texts, and with "
                    "LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False"
                )
        tokens_of_rows = sum(len(row) for row in rows)
        return await self._predictor.embed_ids(version, rows), tokens_of_rows, [False] * len(rows)

    def _version(self, document: dict[str, Any]) -> tuple[str, ModelVersion]:
        names = self._registry.names
        name = document.get("model")
        if name is None and len(names) == 1:
            name = names[0]
        if not isinstance(name, str):
            raise invalid(f"model must be one of: {', '.join(names)}")
        if name not in names:
            raise ServingError(
                Code.NOT_FOUND, f"model {name!r} does not exist; served: {', '.join(names)}"
            )
        return name, self._registry.version(name)


def model_entry(name: str) -> dict[str, Any]:
    """Returns OpenAI's description of a model."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "rejoinder"}


def _input(document: dict[str, Any]) -> list[Any]:
    """Returns n ≥ 1 rows, either all bytes or all int32 arrays of token ids."""
    value = document.get("input")
    if isinstance(value, str):
        return [value.encode()]
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return [item.encode() for item in value]
        if _is_ids(value):
            return [np.array(value, np.int32)]
        if all(isinstance(item, list) and item and _is_ids(item) for item in value):
            return [np.array(item, np.int32) for item in value]
    raise invalid(
        "input must be a string, a non-empty list of strings, token ids, or a list of token ids"
    )


def _is_ids(values: list[Any]) -> bool:
    return all(type(value) is int and 0 <= value < 2**31 for value in values)


def _dimensions(document: dict[str, Any], version: ModelVersion) -> int:
    full = version.manifest.dimension
    dimensions = document.get("dimensions")
    if dimensions is None:
        return full
    if type(dimensions) is not int or not 1 <= dimensions <= full:
        raise invalid(f"dimensions must be a whole number from 1 to {full}")
    return dimensions


def _base64(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
