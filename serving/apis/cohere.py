"""Cohere's `POST /v2/embed` for the served models.

`input_type` and `priority` change nothing: context and response share one tower.
"""

import secrets
from typing import Any

import numpy as np
from starlette.responses import Response

from rejoinder.models.quantize import quantize
from rejoinder.serving.apis.dimensions import check_dimensions, first_dimensions
from rejoinder.serving.apis.openai import OpenAiApi, base64_rows
from rejoinder.serving.apis.responses import json_response, report
from rejoinder.serving.apis.schemas.cohere import CohereRequest
from rejoinder.serving.apis.schemas.fields import texts_of
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.errors import Code, TooLong, invalid

_TOO_LONG = TooLong(Code.INVALID_ARGUMENT, 'shorten it or send "truncate": "END"')


class CohereApi:
    """The handler of the endpoint."""

    def __init__(self, openai: OpenAiApi, predictor: Predictor):
        """Creates the handler.

        Args:
            openai: Finds models by name.
            predictor: Embeds.
        """
        self._openai = openai
        self._predictor = predictor

    async def embed(self, body: CohereRequest) -> Response:
        """`POST /v2/embed`."""
        _, version = self._openai.version(body.model)
        texts = _texts(body)
        most = version.manifest.max_length
        if body.max_tokens is not None and body.max_tokens < most:
            raise invalid(f"max_tokens must be at least {most}, the model's; shorten the texts")
        wanted = body.output_dimension
        warnings = check_dimensions("output_dimension", wanted, version)
        embeddings, tokens = await self._predictor.embed(
            version, texts_of(texts), too_long=_TOO_LONG if body.truncate == "NONE" else None
        )
        embeddings = first_dimensions(embeddings, wanted)
        cut = [str(index) for index, truncated in enumerate(tokens.truncated) if truncated]
        notes = [*warnings, *([f"truncated texts: {', '.join(cut)}"] if cut else [])]
        meta: dict[str, Any] = {
            "api_version": {"version": "2"},
            "billed_units": {"input_tokens": sum(map(len, tokens.rows))},
        }
        if notes:
            meta["warnings"] = notes
        kinds = dict.fromkeys(body.embedding_types or ["float"])
        document = {
            "id": secrets.token_hex(16),
            "response_type": "embeddings_by_type",
            "embeddings": {kind: _encoded(embeddings, kind) for kind in kinds},
            "texts": texts,
            "meta": meta,
        }
        return report(json_response(document), tokens.truncated, warnings)


def _texts(body: CohereRequest) -> list[str]:
    """Returns the texts of a request.

    Raises:
        ServingError: It has neither `texts` nor `inputs`, or both.
    """
    if (body.texts is None) == (body.inputs is None):
        raise invalid("one of texts and inputs must be given")
    if body.texts is not None:
        return body.texts
    return ["\n".join(part.text for part in entry.content) for entry in body.inputs or ()]


def _encoded(embeddings: np.ndarray, kind: str) -> Any:
    if kind == "float":
        return embeddings
    if kind == "base64":
        return base64_rows(embeddings)
    return quantize(embeddings, kind)
