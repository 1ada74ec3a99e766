"""Errors that a client sees: one canonical code, mapped to HTTP and gRPC.

Codes and their HTTP statuses are TensorFlow Serving's (`http_server.cc`), and three
more that only an HTTP server needs.
"""

import enum
import logging
import traceback
from typing import NamedTuple

logger = logging.getLogger("rejoinder.serving")


class Code(enum.Enum):
    """A canonical code: (gRPC number, HTTP status)."""

    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    UNAUTHENTICATED = (16, 401)
    # HTTP only: gRPC's own layer reports these cases itself.
    METHOD_NOT_ALLOWED = (12, 405)
    REQUEST_TIMEOUT = (4, 408)
    PAYLOAD_TOO_LARGE = (8, 413)
    UNSUPPORTED_MEDIA_TYPE = (3, 415)

    @property
    def http(self) -> int:
        """HTTP status."""
        return self.value[1]

    @property
    def grpc(self) -> int:
        """Status number in gRPC."""
        return self.value[0]


class ServingError(Exception):
    """An error response to the client.

    Attributes:
        code: Canonical code of the error.
        message: Text for the client. It may quote the request, so it is never logged.
        headers: Additional HTTP headers.
    """

    def __init__(self, code: Code, message: str, *, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.headers = headers or {}


def invalid(message: str) -> ServingError:
    """Returns the error for a request that always fails in this form."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def overloaded(message: str, *, retry_after: int) -> ServingError:
    """Returns the error for a request that may succeed after `retry_after` seconds."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED, message, headers={"Retry-After": str(max(1, retry_after))}
    )


def too_many_items(count: int, limit: int) -> ServingError:
    """Returns the error for a request with more than `limit` items."""
    return invalid(f"request has {count} items, the limit is {limit}; send several requests")


class TooLong(NamedTuple):
    """How a text with too many tokens is refused.

    Attributes:
        code: Code of the error.
        advice: What to do, the end of the message.
    """

    code: Code
    advice: str

    def error(self, index: int, limit: int) -> ServingError:
        """Returns the error for text `index`, which has more than `limit` tokens."""
        return ServingError(self.code, f"input {index} has more than {limit} tokens; {self.advice}")


def log_failure(error: BaseException) -> None:
    """Logs the type and traceback of an exception.

    The message is left out, because it may quote a request.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("internal error: %s\n%s", type(error).__name__, frames)
