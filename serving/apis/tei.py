"""The API of Hugging Face's Text Embeddings Inference, for the first served model.

`POST /embed` and `POST /` (which huggingface_hub's client calls), `POST /similarity` and
`GET /info`, with the fields and error types of its OpenAPI description, version 1.9
(https://huggingface.github.io/text-embeddings-inference). `dimensions` is not offered.
"""

from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from rejoinder.serving.apis.json_tensors import parse_object
from rejoinder.serving.apis.responses import encoded_json_response, json_response
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.predict import Predictor
from rejoinder.serving.engine.registry import Registry
from rejoinder.serving.errors import Code, ServingError, invalid
from rejoinder.serving.limits import Limits
from rejoinder.versions import installed_version

_ERROR_TYPES = {
    Code.RESOURCE_EXHAUSTED: "Overloaded",
    Code.INTERNAL: "Backend",
    Code.UNAVAILABLE: "Unhealthy",
}


def tei_error(error: ServingError) -> bytes:
    """Returns an error body in the form of Text Embeddings Inference."""
    kind = _ERROR_TYPES.get(error.code, "Validation")
    return orjson.dumps({"error": error.message, "error_type": kind})


class TeiApi:
    """Handlers of the endpoints."""

    def __init__(self, registry: Registry, predictor: Predictor, limits: Limits):
        self._registry = registry
        self._predictor = predictor
        self._limits = limits

    async def embed(self, request: Request, body: bytes) -> Response:
        """`POST /embed`: `{"inputs": text or texts, "truncate"?}` → a list of embeddings."""
        document = parse_object(body)
        if document.get("normalize", True) is not True:
            raise invalid("normalize must be true: the model's embeddings are unit vectors")
        embeddings = await self._embed(_texts(document.get("inputs")), document)
        return encoded_json_response(orjson.dumps(embeddings, option=orjson.OPT_SERIALIZE_NUMPY))

    async def similarity(self, request: Request, body: bytes) -> Response:
        """`POST /similarity`: the cosine of one sentence with each of several."""
        document = parse_object(body)
        inputs = document.get("inputs")
        if not isinstance(inputs, dict) or not isinstance(inputs.get("source_sentence"), str):
            raise invalid('inputs must be {"source_sentence": text, "sentences": [texts]}')
        texts = _texts(inputs["source_sentence"]) + _texts(inputs.get("sentences"))
        parameters = document.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise invalid("parameters must be an object")
        embeddings = await self._embed(texts, parameters)
        cosines = embeddings[1:] @ embeddings[0]
        return encoded_json_response(orjson.dumps(cosines, option=orjson.OPT_SERIALIZE_NUMPY))

    async def info(self, request: Request, body: bytes) -> Response:
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

    async def _embed(self, texts: list[bytes], options: dict[str, Any]) -> np.ndarray:
        """Returns float32 [n, d].

        Raises:
            ServingError: A text is too long and `truncate` is not true.
        """
        truncate = options.get("truncate") or False
        if type(truncate) is not bool:
            raise invalid("truncate must be true or false")
        version = self._version()
        if not truncate:
            tokens = await self._predictor.tokenize(version, texts)
            for index, cut in enumerate(tokens.truncated):
                if cut:
                    raise ServingError(
                        Code.PAYLOAD_TOO_LARGE,
                        f"input {index} has more than {version.manifest.max_length} tokens; "
                        'shorten it or send "truncate": true',
                    )
            return await self._predictor.embed_ids(version, tokens.rows)
        embeddings, _ = await self._predictor.embed(version, texts)
        return embeddings


def _texts(value: Any) -> list[bytes]:
    if isinstance(value, str):
        return [value.encode()]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return [item.encode() for item in value]
    raise invalid("inputs must be a string or a non-empty list of strings")
