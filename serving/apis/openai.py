"""OpenAI's embeddings API, `/tokenize`, and the list of models.

Requests and responses follow OpenAI's `POST /v1/embeddings`. Token arrays are ids of
the served model's own vocabulary, `<s>` and `</s>` included, as `/tokenize` returns
them.
"""

import base64
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from rejoinder.models.quantize import quantize
from rejoinder.serving.apis.dimensions import check_dimensions, first_dimensions
from rejoinder.serving.apis.responses import json_response, report
from rejoinder.serving.apis.schemas.fields import texts_of
from rejoinder.serving.apis.schemas.openai import EmbeddingsRequest, TokenizeRequest
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, ServingError, TooLong, invalid

TOO_LONG = TooLong(Code.INVALID_ARGUMENT, 'shorten it or leave out "auto_truncate": false')


class OpenAiApi:
    """Handlers for the endpoints that OpenAI's clients call."""

    def __init__(self, registry: Registry, predictor: Predictor):
        self._registry = registry
        self._predictor = predictor

    async def embeddings(self, body: EmbeddingsRequest) -> Response:
        """`POST /v1/embeddings`."""
        name, version = self.version(body.model)
        dtype, in_base64 = body.output_dtype or "float", body.encoding_format == "base64"
        if dtype != "float" and in_base64:
            raise invalid(
                f"encoding_format must be 'float' with output_dtype '{dtype}': OpenAI's clients, "
                "which ask for base64 by default, read it as float32"
            )
        warnings = check_dimensions("dimensions", body.dimensions, version)
        too_long = None if body.auto_truncate else TOO_LONG
        embeddings, tokens, truncated = await self._embed(_rows(body.input), version, too_long)
        embeddings = first_dimensions(embeddings, body.dimensions)
        if dtype != "float":
            embeddings = quantize(embeddings, dtype)
        cells = base64_rows(embeddings) if in_base64 else list(embeddings)
        document = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": cell}
                for index, cell in enumerate(cells)
            ],
            "model": name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        if warnings:
            document["warnings"] = warnings
        return report(json_response(document), truncated, warnings)

    async def tokenize(self, body: TokenizeRequest) -> Response:
        """`POST /tokenize`: ids, counts, truncation."""
        name, version = self.version(body.model)
        too_long = None if body.auto_truncate else TOO_LONG
        tokens = await self._predictor.tokenize(version, texts_of(body.input), too_long=too_long)
        document = {
            "model": name,
            "token_ids": [row.tolist() for row in tokens.rows],
            "num_tokens": [len(row) for row in tokens.rows],
            "truncated": tokens.truncated,
        }
        return report(json_response(document), tokens.truncated)

    async def models(self) -> Response:
        """`GET /v1/models`, which TensorFlow Serving answers with an error."""
        entries = [model_entry(name) for name in self._registry.names]
        return json_response({"object": "list", "data": entries})

    async def unknown(self, request: Request, body: bytes) -> Response:
        """Any other path under `/v1/`."""
        raise ServingError(Code.NOT_FOUND, f"Unknown request URL: {request.method} is not offered")

    def version(self, name: str | None) -> tuple[str, ModelVersion]:
        """Returns the name and the newest version of a model; None is the only model.

        Raises:
            ServingError: No model is named and there are several, or there is none of this name.
        """
        names = self._registry.names
        if name is None:
            if len(names) > 1:
                raise invalid(f"model must be one of: {', '.join(names)}")
            name = names[0]
        if name not in names:
            raise ServingError(
                Code.NOT_FOUND, f"model {name!r} does not exist; served: {', '.join(names)}"
            )
        return name, self._registry.version(name)

    async def _embed(
        self, rows: list[Any], version: ModelVersion, too_long: TooLong | None
    ) -> tuple[np.ndarray, int, list[bool]]:
        """Returns float32 [n, d], the number of tokens, and whether each text was truncated."""
        if isinstance(rows[0], bytes):
            embeddings, tokens = await self._predictor.embed(version, rows, too_long=too_long)
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


def model_entry(name: str) -> dict[str, Any]:
    """Returns OpenAI's description of a model."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "rejoinder"}


def base64_rows(embeddings: np.ndarray) -> list[str]:
    """Returns the little-endian float32 bytes of each row in base64."""
    return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in embeddings]


def _rows(value: Any) -> list[Any]:
    """Returns n ≥ 1 rows, either all bytes or all int32 arrays of token ids."""
    if isinstance(value, str) or isinstance(value[0], str):
        return texts_of(value)
    if isinstance(value[0], int):
        return [np.array(value, np.int32)]
    return [np.array(row, np.int32) for row in value]
