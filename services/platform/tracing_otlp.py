"""Spans by OpenTelemetry's SDK, to an OTLP receiver. Imported by `tracing.set_up` alone.

A receiver that is slow or away must not be felt: spans wait in a queue of fixed length for a thread of their own, and
what has no room, or is not taken, is dropped and counted. It is logged when that begins and when it ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.re import parse_env_headers

from services.platform.build import build_version
from services.platform.errors import ConfigurationError
from services.platform.logs import get_logger
from services.platform.metrics import SPANS
from services.platform.tls import tls_context
from services.platform.tracing import Kind, Span, Value, allowed

__all__ = ["OtlpRecorder", "SpanQueue", "traces_url"]

log = get_logger(__name__)
_PATH: Final = "/v1/traces"
_QUEUE: Final = 8192
_BATCH: Final = 512
_INTERVAL_S: Final = 1.0
_EXPORT_S: Final = 5.0
_KINDS: Final = {kind: SpanKind[kind.name] for kind in Kind}


def traces_url(endpoint: str) -> str:
    """Where spans are posted to, of the receiver's base URL; one that has the path already is taken as it is.

    Raises:
        ConfigurationError: no http(s) URL.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("SALLYPORT_OTLP_ENDPOINT: want the URL of an OTLP receiver, such as http://host:4318")
    url = endpoint.rstrip("/")
    return url if url.endswith(_PATH) else url + _PATH


class OtlpRecorder:
    """Records the spans of one process. A trace that a sender began is recorded if the sender says so."""

    def __init__(
        self,
        service: str,
        instance: str,
        endpoint: str,
        sample_ratio: float,
        exporter: SpanExporter | None = None,
        *,
        headers: str = "",
        ca_file: str = "",
    ) -> None:
        # Its own words, for every batch that failed, and with the URL in them. Ours are in SpanQueue.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._queue = SpanQueue(exporter or _exporter(endpoint, headers, ca_file))
        resource = Resource.create(
            {
                "service.namespace": "sallyport",
                "service.name": f"sallyport-{service}",
                "service.instance.id": instance,
                "service.version": build_version(),
            }
        )
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_ratio)), resource=resource, shutdown_on_exit=False
        )
        provider.add_span_processor(self._queue)
        self._tracer = provider.get_tracer("sallyport", build_version())

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str | None,
        attributes: Mapping[str, Value],
        links: Sequence[str],
        started_ns: int | None,
    ) -> Span:
        context = Context()
        if parent is not None:
            context = otel.set_span_in_context(NonRecordingSpan(_context_of(parent)), context)
        return _Recorded(
            self._tracer.start_span(
                name,
                context,
                _KINDS[kind],
                allowed(attributes),
                [Link(_context_of(link)) for link in links],
                started_ns,
                record_exception=False,
                set_status_on_exception=False,
            )
        )

    def shut_down(self, deadline_s: float) -> None:
        self._queue.close(deadline_s)


def _exporter(endpoint: str, headers: str, ca_file: str) -> SpanExporter:
    """Raises ConfigurationError."""
    parsed = parse_env_headers(headers, liberal=True)
    if len(parsed) != sum(bool(part.strip()) for part in headers.split(",")):
        raise ConfigurationError("SALLYPORT_OTLP_HEADERS: want name=value, comma-separated")
    tls_context(ca_file, "SALLYPORT_OTLP_CA_FILE")  # the exporter would say it batch by batch
    return OTLPSpanExporter(
        traces_url(endpoint), certificate_file=ca_file or None, headers=parsed or None, timeout=_EXPORT_S
    )


class _Recorded(Span):
    __slots__ = ("_span",)

    def __init__(self, span: otel.Span) -> None:
        own = span.get_span_context()
        super().__init__(f"00-{own.trace_id:032x}-{own.span_id:016x}-{int(own.trace_flags) & 1:02x}")
        self._span = span

    def note(self, attributes: Mapping[str, Value]) -> None:
        if self._span.is_recording():
            self._span.set_attributes(allowed(attributes))

    def end(self, error: str | None = None) -> None:
        if not self._span.is_recording():
            return
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _context_of(traceparent: str) -> SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16) & 1))


class SpanQueue(SpanProcessor):
    """Ended spans on their way out. The SDK's own batch processor drops without a count, and waits half a minute at the
    end."""

    def __init__(self, exporter: SpanExporter, *, room: int = _QUEUE, interval_s: float = _INTERVAL_S) -> None:
        self._exporter = exporter
        self._room = room
        self._interval_s = interval_s
        self._spans: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._closing or len(self._spans) >= self._room:
            self._drop(1)
            return
        self._spans.append(span)
        if len(self._spans) >= _BATCH:
            self._wake.set()

    def close(self, deadline_s: float) -> None:
        """Send what waits, within `deadline_s` seconds; the rest is dropped."""
        until = time.monotonic() + deadline_s
        self._closing = True
        self._wake.set()
        self._thread.join(deadline_s)
        self._exporter.shutdown()  # a retry that waits is given up
        self._thread.join(max(0.1, until - time.monotonic()))
        self._drop(len(self._spans))
        self._spans.clear()

    def _run(self) -> None:
        closing = False
        while not closing:
            self._wake.wait(self._interval_s)
            self._wake.clear()
            closing = self._closing  # asked before the queue is emptied: whatever was in it at the end is sent
            while self._spans and self._export():
                pass

    def _export(self) -> bool:
        """Send one batch; whether it was taken. One that was not is not tried again: the exporter has, in its time."""
        batch = [self._spans.popleft() for _ in range(min(_BATCH, len(self._spans)))]
        try:
            taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception as error:  # whatever it is: the thread has to live on
            log.error("spans_not_encoded", error=type(error).__name__)
            taken = False
        if taken:
            SPANS.labels("sent").inc(len(batch))
        else:
            self._drop(len(batch))
        if taken == self._failing:
            self._failing = not taken
            if taken:
                log.info("spans_taken_again")
            else:
                log.warning("spans_not_taken", count=len(batch), reason="they are dropped until the receiver is back")
        return taken

    def _drop(self, count: int) -> None:
        if count:
            SPANS.labels("dropped").inc(count)
