"""Compresses responses with gzip for clients that accept it."""

import asyncio
import zlib

from starlette.responses import Response

# Below this, the saved bytes are not worth the time, and gzip may make a body longer.
_LEAST_BYTES = 1024
# Larger bodies would stop the event loop for more than a millisecond.
_MOST_BYTES_IN_LOOP = 64 * 2**10
# Embeddings in JSON shrink to 44 % at level 1, and to 39 % at level 6 in eight times the time.
_LEVEL = 1


async def compressed(response: Response, accept_encoding: str) -> Response:
    """Returns the response, compressed if that is worth it and the client accepts gzip.

    Args:
        response: A response whose body is in memory; it is not changed.
        accept_encoding: The request's `Accept-Encoding`, "" if there is none.
    """
    body = bytes(response.body)
    if len(body) < _LEAST_BYTES or "content-encoding" in response.headers:
        return response
    accepted = accepts_gzip(accept_encoding)
    if accepted and len(body) > _MOST_BYTES_IN_LOOP:
        body = await asyncio.to_thread(_gzip, body)
    elif accepted:
        body = _gzip(body)
    copy = Response(body, status_code=response.status_code)
    copy.raw_headers = [
        (name, value) for name, value in response.raw_headers if name != b"content-length"
    ]
    copy.headers["Content-Length"] = str(len(body))
    copy.headers.add_vary_header("Accept-Encoding")
    if accepted:
        copy.headers["Content-Encoding"] = "gzip"
    return copy


def accepts_gzip(accept_encoding: str) -> bool:
    """Returns whether a client prefers gzip to an unchanged body (RFC 9110, section 12.5.3)."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights[name] = min([_weight(text) for text in parameters], default=1.0)
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _weight(parameter: str) -> float:
    """Returns the number in `q=0.5`; 0 if it is not one, so that nothing is compressed."""
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL, wbits=16 + zlib.MAX_WBITS)
