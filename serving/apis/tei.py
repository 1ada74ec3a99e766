"""The API of Hugging Face's Text Embeddings Inference, for the first served model.

`POST /embed` and `POST /` (which huggingface_hub's client calls), `POST /similarity`,
`POST /tokenize` with `inputs`, and `GET /info`, with the fields and error types of its OpenAPI
description, version 1.9 (https://huggingface.github.io/text-embeddings-inference).
"""

import asyncio
from typing import Any

import numpy as np
from starlette.responses import Response

from rejoinder.serving.apis.dimensions import check_dimensions, first_dimensions
from rejoinder.serving.apis.responses import json_response, report
from rejoinder.serving.apis.schemas.fields import texts_of
from rejoinder.serving.apis.schemas.tei import (
    SimilarityRequest,
    TeiEmbedRequest,
    TeiTokenizeRequest,
)
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, TooLong
from rejoinder.serving.limits import Limits
from rejoinder.versions import installed_version

_TOO_LONG = TooLong(Code.PAYLOAD_TOO_LARGE, 'shorten it or send "truncate": true')


class TeiApi:
    """Handlers of the endpoints."""

    def __init__(self, registry: Registry, predictor: Predictor, limits: Limits):
        self._registry = registry
        self._predictor = predictor
        self._limits = limits

    async def embed(self, body: TeiEmbedRequest) -> Response:
        """`POST /embed`: a list of embeddings."""
        warnings = check_dimensions("dimensions", body.dimensions, self._version())
        embeddings, truncated = await self._embed(texts_of(body.inputs), body.truncate)
        embeddings = first_dimensions(embeddings, body.dimensions)
        return report(json_response(embeddings), truncated, warnings)

    async def similarity(self, body: SimilarityRequest) -> Response:
        """`POST /similarity`: the cosine of one sentence with each of several."""
        texts = texts_of([body.inputs.source_sentence, *body.inputs.sentences])
        truncate = body.parameters.truncate if body.parameters else None
        embeddings, truncated = await self._embed(texts, truncate)
        return report(json_response(embeddings[1:] @ embeddings[0]), truncated)

    async def tokenize(self, body: TeiTokenizeRequest) -> Response:
        """`POST /tokenize`: the tokens of each text, as many as the model reads."""
        texts = texts_of(body.inputs)
        version = self._version()
        tokens = await self._predictor.tokenize(version, texts)
        # In a thread: it may have to read the vocabulary.
        rows = await asyncio.to_thread(version.spans, texts, tokens.rows)
        if not body.add_special_tokens:
            rows = [row[1:-1] for row in rows]
        document = [[span._asdict() for span in row] for row in rows]
        return report(json_response(document), tokens.truncated)

    async def info(self) -> Response:
        """`GET /info`: the model and the limits."""
        version = self._version()
        return json_response(
            {
                "model_id": self._registry.names[0],
                "model_sha": None,
                "model_dtype": version.manifest.precision,
                "model_type": {"embedding": {"pooling": "mean"}},
                "max_concurrent_requests": self._limits.max_connections,
                "max_input_length": version.manifest.max_length,
                "max_batch_tokens": self._limits.max_batch_tokens,
                "max_client_batch_size": self._limits.max_items,
                "auto_truncate": False,
                "tokenization_workers": 1,
                "version": installed_version("rejoinder"),
            }
        )

    def _version(self) -> ModelVersion:
        return self._registry.version(self._registry.names[0])

    async def _embed(self, texts: list[bytes], truncate: bool | None) -> tuple[np.ndarray, Any]:
        """Returns float32 [n, d], and bool [n]: whether each text was truncated.

        Raises:
            ServingError: A text is too long and `truncate` is not true.
        """
        too_long = None if truncate else _TOO_LONG
        embeddings, tokens = await self._predictor.embed(self._version(), texts, too_long=too_long)
        return embeddings, tokens.truncated
