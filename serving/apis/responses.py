"""JSON responses."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


def json_response(document: Mapping[str, Any]) -> Response:
    """Returns the response with a JSON document, in which NumPy arrays are lists."""
    return encoded_json_response(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def encoded_json_response(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Returns the response with a body that is JSON already."""
    return Response(body, status_code=status, headers=headers, media_type="application/json")
