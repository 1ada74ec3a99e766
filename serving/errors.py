"""Errors a client sees: one canonical code, mapped to HTTP and gRPC.

Codes and their HTTP statuses are TensorFlow Serving's (`http_server.cc`), plus the
three that only an HTTP server needs.
"""

import enum


class Code(enum.Enum):
    """A canonical code: (gRPC number, HTTP status)."""

    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    UNAUTHENTICATED = (16, 401)
    # HTTP only: gRPC's own layer answers these before we do.
    METHOD_NOT_ALLOWED = (12, 405)
    REQUEST_TIMEOUT = (4, 408)
    PAYLOAD_TOO_LARGE = (8, 413)

    @property
    def http(self) -> int:
        """HTTP status."""
        return self.value[1]

    @property
    def grpc(self) -> int:
        """Status number in gRPC."""
        return self.value[0]


class ServingError(Exception):
    """An answer to the client other than success.

    Attributes:
        code: What kind of error.
        message: Complete for the client; never logged, it may quote the request.
        headers: Extra HTTP headers.
    """

    def __init__(self, code: Code, message: str, *, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}


def invalid(message: str) -> ServingError:
    """Returns the error for a request that can never succeed as it is."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def overloaded(message: str, *, retry_after: int) -> ServingError:
    """Returns the error for a request that may succeed `retry_after` seconds later."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED, message, headers={"Retry-After": str(max(1, retry_after))}
    )


def too_many_items(count: int, limit: int) -> ServingError:
    """Returns the error for a request with more than `limit` items."""
    return invalid(f"request has {count} items, the limit is {limit}; send several requests")
