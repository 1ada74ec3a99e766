"""Observes one request of any interface: metrics, a line of the access log, and a span."""

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rejoinder.serving import request_record
from rejoinder.serving.metrics import Metrics

if TYPE_CHECKING:  # needs the extra `telemetry`
    from rejoinder.serving.tracing import Tracing

access_logger = logging.getLogger("rejoinder.access")


class Observation:
    """One request, from its start on."""

    def __init__(
        self,
        metrics: Metrics,
        tracing: "Tracing | None",
        endpoint: str,
        headers: Mapping[str, str],
    ):
        """Begins to observe the request of the running task.

        Args:
            metrics: Counts the request.
            tracing: Exports its span, if not None.
            endpoint: Label of the endpoint.
            headers: The request's header fields, with names in lower case.
        """
        self._metrics = metrics
        self._tracing = tracing
        self._endpoint = endpoint
        self._start = time.monotonic()
        self._record = request_record.begin(headers.get("x-request-id", ""))
        self._span = tracing.start(endpoint, headers) if tracing else None
        metrics.inflight.inc()

    @property
    def request_id(self) -> str:
        """Id of the request, for its response."""
        return self._record.request_id

    def finish(self, code: str, *, failed: bool) -> None:
        """Counts and logs the request when it ends.

        Args:
            code: Status of the response: a number of HTTP, or a name of gRPC.
            failed: Whether the server is the cause of an error.
        """
        end = time.monotonic()
        seconds, record = end - self._start, self._record
        self._metrics.inflight.dec()
        self._metrics.requests.labels(self._endpoint, code).inc()
        self._metrics.seconds.labels(self._endpoint).observe(seconds)
        if signature := record.attributes.get("signature"):
            self._metrics.signature_seconds.labels(signature).observe(seconds)
        fields = {"endpoint": self._endpoint, "code": code, "milliseconds": round(seconds * 1e3, 1)}
        names = {phase.name for phase in record.phases}
        times = {f"{n}_milliseconds": round(record.seconds(n) * 1e3, 1) for n in sorted(names)}
        access_logger.info(
            "%s %s %.1f ms",
            *(self._endpoint, code, seconds * 1000),
            extra={"fields": {**fields, **times, **record.attributes}},
        )
        if self._tracing and self._span is not None:
            self._tracing.finish(
                self._span, record, code, start=self._start, end=end, failed=failed
            )
