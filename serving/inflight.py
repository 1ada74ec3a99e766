"""Counts the bytes of all requests that are in memory, whichever protocol brought them."""

from rejoinder.serving.errors import overloaded
from rejoinder.serving.metrics import Metrics


class InflightBytes:
    """A bound on the bytes of running requests. Use it from one event loop only."""

    def __init__(self, limit: int, metrics: Metrics):
        """Creates the bound.

        Args:
            limit: Bytes of all running requests together.
            metrics: Counts refused requests.
        """
        self._limit = limit
        self._metrics = metrics
        self._bytes = 0

    def reserve(self, count: int) -> None:
        """Adds `count` bytes.

        Raises:
            ServingError: 429, because the limit would be exceeded.
        """
        if self._bytes + count > self._limit:
            self._metrics.rejected.labels("inflight_bytes").inc()
            raise overloaded("server is reading too many requests", retry_after=1)
        self._bytes += count

    def release(self, count: int) -> None:
        """Takes back `count` reserved bytes."""
        self._bytes -= count
