"""JSON responses, and the headers that say what a client should know about them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

# Indices in the header of truncated texts.
_MOST_INDICES = 500


def json_response(document: Any) -> Response:
    """Returns the response with a JSON document, in which NumPy arrays are lists."""
    return encoded_json_response(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def encoded_json_response(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Returns the response with a body that is JSON already."""
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def report(response: Response, truncated: Iterable[Any], warnings: Sequence[str] = ()) -> Response:
    """Adds what happened to the request's texts to the headers, and returns the response.

    Args:
        response: The response.
        truncated: Whether each text was truncated; `X-Truncated` gets their indices.
        warnings: For `X-Warning`, in ASCII.
    """
    if indices := [str(index) for index, cut in enumerate(truncated) if cut]:
        response.headers["X-Truncated"] = ",".join(indices[:_MOST_INDICES])
    if warnings:
        response.headers["X-Warning"] = "; ".join(warnings)
    return response
