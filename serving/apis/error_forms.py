"""The bodies of errors in the form of each API."""

from collections.abc import Callable
from typing import NamedTuple

import orjson

from rejoinder.serving.apis.json_tensors import format_error
from rejoinder.serving.apis.schemas.body import Body
from rejoinder.serving.errors import Code, ServingError


class Error(Body):
    """An error in TensorFlow Serving's form."""

    error: str


class OpenAiErrorDetail(Body):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiError(Body):
    """An error in OpenAI's form."""

    error: OpenAiErrorDetail


class TeiError(Body):
    """An error in the form of Text Embeddings Inference."""

    error: str
    error_type: str


class CohereError(Body):
    """An error in Cohere's form."""

    message: str


class ErrorForm(NamedTuple):
    """A form of errors.

    Attributes:
        model: The body.
        format: Returns the body of an error.
    """

    model: type[Body]
    format: Callable[[ServingError], bytes]


def _tensorflow(error: ServingError) -> bytes:
    return format_error(error.message)


_OPENAI_TYPES = {
    Code.UNAUTHENTICATED: "authentication_error",
    Code.RESOURCE_EXHAUSTED: "rate_limit_error",
    Code.INTERNAL: "server_error",
    Code.DEADLINE_EXCEEDED: "server_error",
}


def _openai(error: ServingError) -> bytes:
    detail = {
        "message": error.message,
        "type": _OPENAI_TYPES.get(error.code, "invalid_request_error"),
        "param": None,
        "code": "model_not_found" if error.code is Code.NOT_FOUND else None,
    }
    return orjson.dumps({"error": detail})


_TEI_TYPES = {
    Code.RESOURCE_EXHAUSTED: "Overloaded",
    Code.INTERNAL: "Backend",
    Code.UNAVAILABLE: "Unhealthy",
}


def _tei(error: ServingError) -> bytes:
    kind = _TEI_TYPES.get(error.code, "Validation")
    return orjson.dumps({"error": error.message, "error_type": kind})


def _cohere(error: ServingError) -> bytes:
    return orjson.dumps({"message": error.message})


TENSORFLOW = ErrorForm(Error, _tensorflow)
OPENAI = ErrorForm(OpenAiError, _openai)
TEI = ErrorForm(TeiError, _tei)
COHERE = ErrorForm(CohereError, _cohere)
