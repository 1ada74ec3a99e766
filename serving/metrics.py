"""Prometheus metrics. Label values come from fixed sets, never from a request."""

from collections.abc import Iterator

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The server's metrics; each instance has its own registry."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        registry.register(_ProcessCollector())
        self.requests = Counter(
            "rejoinder_requests", "Finished requests.", ["endpoint", "code"], registry=registry
        )
        self.seconds = Histogram(
            "rejoinder_request_seconds",
            "Time from the end of the request headers, or a call's start, to the response.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.signature_seconds = Histogram(
            "rejoinder_signature_seconds",
            "Time of the requests of a signature, as rejoinder_request_seconds.",
            ["signature"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "rejoinder_queue_seconds",
            "Time from the end of tokenizing to the first batch of a request.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "rejoinder_batch_seconds", "Time of a batch.", buckets=_SECONDS, registry=registry
        )
        self.rejected = Counter(
            "rejoinder_rejected", "Requests refused by a limit.", ["reason"], registry=registry
        )
        self.inflight = Gauge(
            "rejoinder_inflight_requests", "Requests in progress.", registry=registry
        )
        self.queue_tokens = Gauge(
            "rejoinder_queue_tokens", "Tokens waiting for a batch.", registry=registry
        )
        self.failed_batches = Counter(
            "rejoinder_failed_batches", "Batches that failed.", registry=registry
        )
        self.version = Gauge(
            "rejoinder_model_version", "Newest loaded version.", ["model"], registry=registry
        )
        self._texts = Counter("rejoinder_texts", "Texts encoded.", registry=registry)
        self._tokens = Counter(
            "rejoinder_tokens", "Tokens encoded, without padding.", registry=registry
        )
        self._padded = Counter(
            "rejoinder_padded_tokens", "Tokens encoded, padding included.", registry=registry
        )
        self._rows = Histogram(
            "rejoinder_batch_rows", "Rows of a batch.", buckets=_ROWS, registry=registry
        )

    def batch(self, *, rows: int, tokens: int, padded: int) -> None:
        """Counts one finished batch.

        Args:
            rows: Texts in the batch.
            tokens: Tokens, without padding.
            padded: Computed tokens, padding included.
        """
        self._texts.inc(rows)
        self._tokens.inc(tokens)
        self._padded.inc(padded)
        self._rows.observe(rows)

    def render(self) -> bytes:
        """Returns all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _ProcessCollector(Collector):
    """Memory and CPU time of this process, under Prometheus' usual names, on every platform."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        """Yields the present values."""
        memory, times = self._process.memory_info(), self._process.cpu_times()
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Resident memory size in bytes.", value=memory.rss
        )
        yield CounterMetricFamily(
            "process_cpu_seconds_total",
            "Total user and system CPU time in seconds.",
            value=times.user + times.system,
        )
        yield GaugeMetricFamily(
            "process_start_time_seconds",
            "Start time of the process since the Unix epoch in seconds.",
            value=self._process.create_time(),
        )
