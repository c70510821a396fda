"""Spans: what is recorded, what is carried, what may be said in one (G8), and a receiver that is away."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from services.platform import tracing
from services.platform.errors import ConfigurationError
from services.platform.metrics import SPANS
from services.platform.tracing import Kind, UnknownAttribute
from services.platform.tracing_otlp import OtlpRecorder, SpanQueue, traces_url
from tests.support.waiting import wait_for

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = f"00-{TRACE}-b9c7c989f97918e1-01"
NAME = "Exampleson"


class Kept(SpanExporter):
    """Keeps spans. away: takes none, and says so. hold: does not come back from an export until it is set."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.away = False
        self.hold = threading.Event()
        self.hold.set()
        self.exporting = threading.Event()
        self.closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.exporting.set()
        self.hold.wait()
        if self.away:
            return SpanExportResult.FAILURE
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.closed.set()
        self.hold.set()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Recording is on, into memory, and strict."""
    yield from _recording(monkeypatch, 1.0)


def _recording(monkeypatch: pytest.MonkeyPatch, ratio: float) -> Iterator[Kept]:
    exporter = Kept()
    recorder = OtlpRecorder("ingest", "ingest-1", "http://receiver.example:4318", ratio, exporter)
    monkeypatch.setattr(tracing, "_recorder", recorder)
    monkeypatch.setattr(tracing, "_strict", True)
    yield exporter
    recorder.shut_down(5)


def all_of(kept: Kept) -> list[ReadableSpan]:
    tracing.shut_down(5)
    return kept.spans


def counted(outcome: str) -> float:
    return float(SPANS.labels(outcome)._value.get())


# -- with no endpoint --------------------------------------------------------------------------------------------------


def test_with_no_endpoint_a_senders_context_is_carried_and_nothing_is_made_up() -> None:
    tracing.set_up("ingest", "ingest-1", "", 1.0)
    assert not tracing.is_on()
    assert tracing.begin("send custody.events.v1", Kind.PRODUCER, SENT).traceparent == SENT
    span = tracing.begin("send custody.events.v1", Kind.PRODUCER, None, {"anything": NAME})
    span.note({"anything": NAME})
    span.end("failed")
    assert span.traceparent is None
    assert tracing.current_trace_id() is None


def test_with_no_endpoint_opentelemetry_is_not_imported() -> None:
    """FastStream imports its semantic conventions by itself; the API and the SDK are what costs."""
    program = (
        "import sys; import services.ingest.app, services.matcher.app, services.notifier.app; "
        "from services.platform import tracing; tracing.set_up('ingest', 'i', '', 1.0); "
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.trace', "
        "'opentelemetry.exporter', 'google.protobuf', 'services.platform.tracing_otlp'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector", "http://", "4318"])
def test_an_endpoint_that_is_none_is_said_at_the_start(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="SALLYPORT_OTLP_ENDPOINT"):
        tracing.set_up("ingest", "ingest-1", endpoint, 1.0)


def test_where_spans_are_posted_to() -> None:
    assert traces_url("http://collector:4318") == "http://collector:4318/v1/traces"
    assert traces_url("https://otlp.example/base/") == "https://otlp.example/base/v1/traces"
    assert traces_url("http://collector:4318/v1/traces") == "http://collector:4318/v1/traces"


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_a_span_is_the_child_of_what_was_sent_and_the_parent_of_what_it_leads_to(kept: Kept) -> None:
    first = tracing.begin("POST /v1/events", Kind.SERVER, SENT)
    with tracing.scope(first):
        second = tracing.begin("send custody.events.v1", Kind.PRODUCER, tracing.upstream(None), links=[SENT])
        assert tracing.current_trace_id() == TRACE
    second.end()
    first.end("503")
    assert tracing.current_trace_id() is None
    child, parent = all_of(kept)
    assert parent.parent is not None and child.parent is not None and parent.context is not None
    assert f"{parent.parent.span_id:016x}" == "b9c7c989f97918e1"
    assert child.parent.span_id == parent.context.span_id
    assert {f"{s.context.trace_id:032x}" for s in (child, parent) if s.context} == {TRACE}
    assert [f"{link.context.span_id:016x}" for link in child.links] == ["b9c7c989f97918e1"]
    assert (parent.status.status_code, child.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert parent.attributes == {"error.type": "503"}
    assert parent.resource.attributes["service.name"] == "sallyport-ingest"
    assert parent.resource.attributes["service.instance.id"] == "ingest-1"
    assert parent.resource.attributes["service.version"]


def test_a_span_ends_once(kept: Kept) -> None:
    span = tracing.begin("deliver webhook", Kind.CLIENT, None)
    span.end()
    span.end("http_5xx")
    (only,) = all_of(kept)
    assert only.status.status_code is StatusCode.UNSET


def test_what_a_sender_does_not_record_is_not_recorded_and_its_trace_goes_on(kept: Kept) -> None:
    span = tracing.begin("POST /v1/events", Kind.SERVER, SENT[:-2] + "00")
    span.end()
    assert span.traceparent is not None
    assert span.traceparent.startswith(f"00-{TRACE}-") and span.traceparent.endswith("-00")
    assert all_of(kept) == []


def test_the_ratio_is_of_traces_begun_here(monkeypatch: pytest.MonkeyPatch) -> None:
    recording = _recording(monkeypatch, 0.0)
    kept = next(recording)
    tracing.begin("POST /v1/events", Kind.SERVER, None).end()
    tracing.begin("POST /v1/events", Kind.SERVER, SENT).end()
    assert [f"{s.context.trace_id:032x}" for s in all_of(kept) if s.context] == [TRACE]


def test_an_attribute_that_is_not_on_the_list_fails_a_test_and_is_dropped_elsewhere(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnknownAttribute, match="surname"):
        tracing.begin("process detainers.v1", Kind.CONSUMER, None, {"surname": NAME})
    span = tracing.begin("process detainers.v1", Kind.CONSUMER, None)
    with pytest.raises(UnknownAttribute):
        span.note({"booking_number": NAME})
    monkeypatch.setattr(tracing, "_strict", False)
    span.note({"booking_number": NAME, "sallyport.stage": "released"})
    span.end()
    (only,) = all_of(kept)
    assert only.attributes == {"sallyport.stage": "released"}
    assert NAME not in only.to_json()


def test_an_error_says_its_code_and_nothing_of_what_was_raised(kept: Kept) -> None:
    span = tracing.begin("POST /v1/events", Kind.SERVER, None)
    with pytest.raises(ValueError), tracing.scope(span):
        raise ValueError(NAME)
    span.end("500")
    (only,) = all_of(kept)
    assert list(only.events) == []
    assert NAME not in only.to_json()


# -- a receiver that is away -------------------------------------------------------------------------------------------


def test_spans_are_dropped_and_counted_while_the_receiver_is_away_and_sent_again_after(kept: Kept) -> None:
    dropped, sent = counted("dropped"), counted("sent")
    kept.away = True
    tracing.begin("deliver webhook", Kind.CLIENT, None).end()
    wait_for(lambda: counted("dropped") == dropped + 1, "it is counted as dropped")
    kept.away = False
    tracing.begin("deliver webhook", Kind.CLIENT, None).end()
    wait_for(lambda: counted("sent") == sent + 1, "it is counted as sent")
    assert len(all_of(kept)) == 1


def test_the_queue_has_an_end_and_whoever_is_traced_does_not_wait(kept: Kept) -> None:
    exporter = Kept()
    exporter.hold.clear()
    queue = SpanQueue(exporter, room=10, interval_s=0.01)
    dropped = counted("dropped")
    tracing.begin("deliver webhook", Kind.CLIENT, None).end()
    wait_for(lambda: kept.spans, "a span goes out")
    (span,) = kept.spans
    queue.on_end(span)
    assert exporter.exporting.wait(10), "one is on its way, and does not come back"
    for _ in range(15):
        queue.on_end(span)
    assert counted("dropped") == dropped + 5
    exporter.hold.set()
    queue.close(10)
    assert len(exporter.spans) == 11


def test_a_span_that_ends_just_before_the_queue_is_closed_is_sent(kept: Kept) -> None:
    """Between the look that found nothing to send and the question whether that was the last one."""
    exporter = Kept()
    tracing.begin("deliver webhook", Kind.CLIENT, None).end()
    wait_for(lambda: kept.spans, "a span that came of an attempt")
    queue = SpanQueue(exporter, interval_s=0.01)

    class Late(deque[ReadableSpan]):
        is_first = True

        def __len__(self) -> int:
            found, self.is_first = self.is_first, False
            if found:
                self.append(kept.spans[0])
                queue._closing = True
                queue._wake.set()
                return 0
            return super().__len__()

    queue._spans = Late()
    queue._thread.join(10)
    assert len(exporter.spans) == 1
    queue.close(10)


def test_the_end_waits_for_the_receiver_as_long_as_it_is_told(kept: Kept) -> None:
    exporter = Kept()
    exporter.hold.clear()
    queue = SpanQueue(exporter, interval_s=0.01)
    tracing.begin("deliver webhook", Kind.CLIENT, None).end()
    wait_for(lambda: kept.spans, "a span goes out")
    queue.on_end(kept.spans[0])
    assert exporter.exporting.wait(10)
    queue.close(0.2)  # the exporter is told to give up, and does
    assert exporter.closed.is_set()
    dropped = counted("dropped")
    queue.on_end(kept.spans[0])
    assert counted("dropped") == dropped + 1, "after the end"
