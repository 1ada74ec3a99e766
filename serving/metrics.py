"""Prometheus metrics. Labels take values from fixed sets only, never from a request."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The server's counters; one registry each, so that tests do not share them."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "rejoinder_requests", "Requests answered.", ["endpoint", "code"], registry=registry
        )
        self.seconds = Histogram(
            "rejoinder_request_seconds",
            "Time from the end of the headers to the answer.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.rejected = Counter(
            "rejoinder_rejected", "Requests refused by a limit.", ["reason"], registry=registry
        )
        self.inflight = Gauge(
            "rejoinder_inflight_requests", "Requests being answered.", registry=registry
        )
        self.queue_tokens = Gauge(
            "rejoinder_queue_tokens", "Padded tokens waiting for a batch.", registry=registry
        )
        self.failed_batches = Counter(
            "rejoinder_failed_batches", "Batches that failed as a whole.", registry=registry
        )
        self.version = Gauge(
            "rejoinder_model_version", "Newest version that answers.", ["model"], registry=registry
        )
        self._texts = Counter("rejoinder_texts", "Texts encoded.", registry=registry)
        self._tokens = Counter("rejoinder_tokens", "Real tokens encoded.", registry=registry)
        self._padded = Counter(
            "rejoinder_padded_tokens", "Tokens encoded, padding included.", registry=registry
        )
        self._rows = Histogram(
            "rejoinder_batch_rows", "Rows of a batch.", buckets=_ROWS, registry=registry
        )

    def batch(self, *, rows: int, tokens: int, padded: int) -> None:
        """Counts one finished batch."""
        self._texts.inc(rows)
        self._tokens.inc(tokens)
        self._padded.inc(padded)
        self._rows.observe(rows)

    def render(self) -> bytes:
        """Returns the page in Prometheus' text format."""
        return generate_latest(self._registry)
