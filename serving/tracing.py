"""OpenTelemetry traces: one span for each request, with its phases as children.

Spans are sent in the background by OTLP over HTTP; a collector that does not answer
delays no request. The W3C `traceparent` of a request is its span's parent.
"""

import time
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rejoinder.serving.request_record import RequestRecord

_PATH = "/v1/traces"
_EXPORT_SECONDS = 5


class Tracing:
    """Makes spans of requests and sends them."""

    def __init__(self, endpoint: str, version: str):
        """Starts the thread that sends spans.

        Args:
            endpoint: URL of an OTLP/HTTP receiver, with or without `/v1/traces`.
            version: The server's version.
        """
        url = endpoint.rstrip("/")
        exporter = OTLPSpanExporter(
            url if url.endswith(_PATH) else url + _PATH, timeout=_EXPORT_SECONDS
        )
        resource = Resource.create({SERVICE_NAME: "rejoinder", SERVICE_VERSION: version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("rejoinder.serving", version)
        self._propagator = TraceContextTextMapPropagator()

    def start(self, endpoint: str, headers: Mapping[str, str]) -> Span:
        """Starts the span of a request.

        Args:
            endpoint: Label of the endpoint, the span's name.
            headers: The request's header fields, with names in lower case.
        """
        carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        context = self._propagator.extract(carrier)
        return self._tracer.start_span(endpoint, context=context, kind=SpanKind.SERVER)

    def finish(
        self,
        span: Span,
        record: RequestRecord,
        code: str,
        *,
        start: float,
        end: float,
        failed: bool,
    ) -> None:
        """Ends the span of a request, with a child for each phase.

        Args:
            span: Its span.
            record: Its phases and attributes.
            code: Status of the response.
            start: Monotonic time of its start.
            end: Monotonic time of its end.
            failed: Whether the server is the cause of an error.
        """
        if span.is_recording():
            now, clock = time.time_ns(), time.monotonic()

            def wall(moment: float) -> int:
                return now - round((clock - moment) * 1e9)

            name = "http.response.status_code" if code.isdigit() else "rpc.grpc.status"
            span.set_attribute(name, int(code) if code.isdigit() else code)
            span.set_attribute("rejoinder.request_id", record.request_id)
            for key, value in record.attributes.items():
                span.set_attribute(f"rejoinder.{key}", value)
            if failed:
                span.set_status(Status(StatusCode.ERROR))
            context = set_span_in_context(span)
            for phase in record.phases:
                attributes = {f"rejoinder.{key}": value for key, value in phase.attributes.items()}
                child = self._tracer.start_span(
                    phase.name, context, attributes=attributes, start_time=wall(phase.start)
                )
                child.end(wall(phase.end))
        span.end()

    def close(self) -> None:
        """Sends what is left and ends the thread."""
        self._provider.shutdown()
