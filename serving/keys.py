"""Bearer keys, checked in the same way for HTTP and gRPC requests."""

import hmac
from collections.abc import Sequence
from contextvars import ContextVar

from rejoinder.serving.errors import Code, ServingError
from rejoinder.serving.metrics import Metrics

_client: ContextVar[str] = ContextVar("client", default="")


def current_client() -> str:
    """Returns a name for the key of the running request, "" if no keys are set."""
    return _client.get()


class ApiKeys:
    """The keys that give access to guarded endpoints; without keys all requests have access."""

    def __init__(self, keys: Sequence[str], metrics: Metrics):
        self._keys = [key.encode() for key in keys]
        self._metrics = metrics

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, authorization: str) -> None:
        """Checks the value of an `Authorization` header, and sets `current_client`.

        Args:
            authorization: The header's value, "" if there is none.

        Raises:
            ServingError: 401, because keys are set and the header holds none of them.
        """
        if not self._keys:
            return
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode()
        # Compare with every key, so that the time does not depend on which key matches.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if scheme.lower() != "bearer" or not any(matches):
            self._metrics.rejected.labels("key").inc()
            raise ServingError(
                Code.UNAUTHENTICATED,
                "a valid key is needed: Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )
        _client.set(str(matches.index(True)))
