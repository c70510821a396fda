"""Traces as an operator's collector gets them: three real services, a real Kafka and PostgreSQL, OTLP over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.traceparent import traceparent_of
from contracts.types.custody import Booked, CustodyEvent, Released
from contracts.types.detainer import DetainerType, Intent, Lodge
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName
from contracts.types.registry import Source
from deploy.demo.access import call
from deploy.demo.observe import read_whole
from deploy.demo.processes import ServiceProcess
from deploy.demo.system import System
from deploy.demo.world.places import HARTFORD, ICE_BOSTON
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo
from services.platform.registry import hash_key, new_key
from services.platform.tracing import ATTRIBUTES
from tests.integration.support.metrics import total
from tests.integration.support.otlp import Endpoint, Receiver, SpanSeen
from tests.integration.support.posting import post_until_taken
from tests.integration.support.privacy import found_in
from tests.support.kafka import fresh_topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(500)
AGENCY, JAIL = ICE_BOSTON.code, HARTFORD.code
NOW = datetime.now(UTC).replace(microsecond=0)
REVIEWER_KEY = new_key()
REVIEWER = Source(id="console", key_sha256=[hash_key(REVIEWER_KEY)], reviewer=True)
SURNAME, GIVEN = "Quillonfeather", "Ambrosine"
EVENTS, DETAINERS = "process custody.events.v1", "process detainers.v1"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


@contextmanager
def running(stack: StackInfo, database_url: str, directory: Path, endpoint: Endpoint, **more: str) -> Iterator[System]:
    """The system with one subscriber, `endpoint`."""
    fresh_topics(stack.kafka_bootstrap_servers)
    stack = StackInfo(stack.kafka_bootstrap_servers, database_url)
    settings = {"SALLYPORT_RETRY_SCALE": "0.02", **more}
    with System(stack, directory, extra=[REVIEWER], agencies=(), settings=settings) as system:
        url = f"{system.notifier.url}/v1/subscriptions"
        call("POST", url, system.keys[ICE_BOSTON.source], {"channel": "webhook", "url": f"{endpoint.url}/hook"})
        yield system


def who(number: int, *, numbered: bool = True) -> Person:
    sid = Identifier(kind=IdentifierKind.SID, value=f"91{number:05}", issuer="CT")
    return Person(
        names=[PersonName(surname=f"{SURNAME}{'abcdefghij'[number]}", given=f"{GIVEN}{'klmnopqrst'[number]}")],
        birth_dates=[f"19{60 + number}-05-06"],
        identifiers=[sid] if numbered else [],
    )


def post(url: str, key: str, body: Any, content_type: str, traceparent: str | None = None) -> None:
    carried = {"traceparent": traceparent, "tracestate": f"vendor={SURNAME}"} if traceparent is not None else None
    post_until_taken(url, key, body, content_type, carried)


@contextmanager
def until_known(system: System, sample: str) -> Iterator[None]:
    """The matcher knows, on leaving, of the one thing that is sent within. Of two that are on their way at once either
    may be first, and what comes of them belongs to the trace of the other."""
    before = total(system.matcher, sample)
    yield
    wait_for(lambda: total(system.matcher, sample) > before, f"{sample} rises")


def send(system: System, event: CustodyEvent, carried: str | None = None, **attributes: Any) -> None:
    kind = event.__struct_config__.tag
    body = {
        "specversion": "1.0",
        "id": f"{kind}-{event.booking_number}",
        "source": HARTFORD.source,
        "type": f"sallyport.custody.{kind}.v1",
        "data": msgspec.to_builtins(event),
        **attributes,
    }
    url, key = f"{system.ingest.url}/v1/events", system.keys[HARTFORD.source]
    post(url, key, body, "application/cloudevents+json", carried)


def book(system: System, number: int, who: Person, carried: str | None = None, **attributes: Any) -> None:
    event = Booked(facility=JAIL, booking_number=f"BK-{number}", occurred_at=NOW - timedelta(days=2), person=who)
    with until_known(system, 'sallyport_matcher_inputs_total{kind="custody"}'):
        send(system, event, carried, **attributes)


def release(system: System, number: int, traceparent: str | None = None) -> None:
    send(system, Released(facility=JAIL, booking_number=f"BK-{number}", occurred_at=NOW), traceparent)


def lodge(system: System, number: int, who: Person, traceparent: str | None = None) -> None:
    command = Lodge(
        agency=AGENCY,
        agency_reference=f"REF-{number}",
        occurred_at=NOW - timedelta(days=5),
        type=DetainerType.IMMIGRATION,
        intent=Intent.NOTIFY_ONLY,
        person=who,
    )
    url, key = f"{system.ingest.url}/v1/detainers", system.keys[ICE_BOSTON.source]
    with until_known(system, "sallyport_matcher_detainers "):
        post(url, key, msgspec.to_builtins(command), "application/json", traceparent)


def remote(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


def trace_of(receiver: Receiver, trace_id: str, last: str, count: int = 1) -> list[SpanSeen]:
    """The spans of a trace, once `count` named `last` are among them."""
    assert wait_until(lambda: len(receiver.named(last, trace_id)) >= count, seconds=60), receiver.spans
    # What came before ended before, and may be on its way from another process still.
    assert wait_until(lambda: not _orphans(receiver, trace_id), seconds=60), _orphans(receiver, trace_id)
    return [s for s in receiver.spans if s.trace_id == trace_id]


def _orphans(receiver: Receiver, trace_id: str) -> list[SpanSeen]:
    mine = [s for s in list(receiver.spans) if s.trace_id == trace_id]
    ids = {s.span_id for s in mine} | {"", f"{int(trace_id, 16):016x}"}
    return [s for s in mine if s.parent not in ids]


def by_way_of(spans: list[SpanSeen], last: SpanSeen) -> list[SpanSeen]:
    """From the first span of the trace that is ours to `last`, by parent."""
    by_id = {s.span_id: s for s in spans}
    found: list[SpanSeen] = []
    at: SpanSeen | None = last
    while at is not None:
        found.insert(0, at)
        at = by_id.get(at.parent)
    return found


def line(spans: list[SpanSeen], last: SpanSeen) -> list[str]:
    """The names of `by_way_of`."""
    return [s.name for s in by_way_of(spans, last)]


def test_one_event_from_the_request_to_the_webhook(stack: StackInfo, database_url: str, tmp_path: Path) -> None:
    """One system for all of it: it takes half a minute to be there."""
    with (
        Receiver() as receiver,
        Endpoint([500]) as endpoint,
        running(stack, database_url, tmp_path / "run", endpoint, SALLYPORT_OTLP_ENDPOINT=receiver.url) as system,
    ):
        _an_event_meets_a_detainer_and_the_endpoint_fails_once(system, receiver, endpoint)
        _a_detainer_meets_an_episode(system, receiver)
        _an_event_has_a_trace_of_its_own(system, receiver)
        _a_reviewer_decides(system, receiver)
        _the_receiver_goes_away_and_comes_back(system, receiver, endpoint)
        _nobody_is_named(system, receiver, endpoint)


def _an_event_meets_a_detainer_and_the_endpoint_fails_once(
    system: System, receiver: Receiver, endpoint: Endpoint
) -> None:
    lodge(system, 1, who(1))
    book(system, 1, who(1), remote(0xA1))
    spans = trace_of(receiver, f"{0xA1:032x}", "deliver webhook", 2)
    first, second = sorted(
        (s for s in spans if s.name == "deliver webhook"), key=lambda s: s.attributes["sallyport.attempt"]
    )
    expected = ["POST /v1/events", "send custody.events.v1", EVENTS, "process conflicts.v1", "deliver webhook"]
    assert line(spans, first) == line(spans, second) == expected
    assert len(spans) == 6, "nothing twice"
    assert [s.kind for s in by_way_of(spans, second)] == [SERVER, PRODUCER, CONSUMER, CONSUMER, CLIENT]
    assert {s.resource["service.name"] for s in spans} == {
        "sallyport-ingest",
        "sallyport-matcher",
        "sallyport-notifier",
    }
    assert all(s.resource["service.instance.id"] and s.resource["service.version"] for s in spans)
    assert next(s for s in spans if s.kind == SERVER).parent == f"{0xA1:016x}"
    assert (first.attributes["http.response.status_code"], first.failed) == (500, True)
    assert (second.attributes["http.response.status_code"], second.failed) == (200, False)
    assert first.attributes["sallyport.delivery_id"] == second.attributes["sallyport.delivery_id"]
    assert first.attributes["error.type"] == "http_5xx"
    failed = [e for e in system.notifier.log_events() if e["event"] == "attempt_failed"]
    assert [e["trace_id"] for e in failed] == [f"{0xA1:032x}"]
    assert receiver.paths == {"/v1/traces"}


def _a_detainer_meets_an_episode(system: System, receiver: Receiver) -> None:
    book(system, 2, who(2))
    lodge(system, 2, who(2), remote(0xA2))
    spans = trace_of(receiver, f"{0xA2:032x}", "deliver webhook")
    expected = ["POST /v1/detainers", "send detainers.v1", DETAINERS, "process conflicts.v1", "deliver webhook"]
    assert line(spans, receiver.named("deliver webhook", f"{0xA2:032x}")[0]) == expected


def _an_event_has_a_trace_of_its_own(system: System, receiver: Receiver) -> None:
    """The header tells of the request, the attribute of the event."""
    lodge(system, 3, who(3))
    book(system, 3, who(3), remote(0xB3), traceparent=remote(0xA3))
    spans = trace_of(receiver, f"{0xA3:032x}", "deliver webhook")
    expected = ["create custody.events.v1", EVENTS, "process conflicts.v1", "deliver webhook"]
    assert line(spans, receiver.named("deliver webhook", f"{0xA3:032x}")[0]) == expected
    created = next(s for s in spans if s.name.startswith("create"))
    assert created.parent == f"{0xA3:016x}"
    (sent,) = receiver.named("send custody.events.v1", f"{0xB3:032x}")
    assert created.links == ((sent.trace_id, sent.span_id),)


def _a_reviewer_decides(system: System, receiver: Receiver) -> None:
    who_else = who(4, numbered=False)
    lodge(system, 4, who_else)
    book(system, 4, who_else, remote(0xC4))
    trace_of(receiver, f"{0xC4:032x}", "process reviews.v1")
    (review,) = call("GET", f"{system.notifier.url}/v1/reviews?status=open", REVIEWER_KEY)["reviews"]
    said = {"version": review["version"], "decision": "confirm", "reason": SURNAME, "reviewer": GIVEN}
    url = f"{system.notifier.url}/v1/reviews/{review['review_id']}/decision"
    post(url, REVIEWER_KEY, said, "application/json", remote(0xA4))
    spans = trace_of(receiver, f"{0xA4:032x}", "deliver webhook")
    assert line(spans, receiver.named("deliver webhook", f"{0xA4:032x}")[0]) == [
        "POST /v1/reviews/{review_id}/decision",
        "send review.decisions.v1",
        "process review.decisions.v1",
        "process conflicts.v1",
        "deliver webhook",
    ]


def _the_receiver_goes_away_and_comes_back(system: System, receiver: Receiver, endpoint: Endpoint) -> None:
    receiver.stop()
    taken = endpoint.taken
    release(system, 1)
    assert wait_until(lambda: endpoint.taken == taken + 1, seconds=60), "nobody waits for a receiver of traces"
    assert wait_until(lambda: all(_spans(system, s.name, "dropped") for s in system.services), seconds=60)
    release(system, 2)
    dropped = _spans(system, "matcher", "dropped")
    assert wait_until(lambda: _spans(system, "matcher", "dropped") > dropped, seconds=60)
    for service in system.services:
        assert service.get("/readyz")[0] == 200
        wait_for(lambda service=service: _says(service, "spans_not_taken"), "it is said that they are not")  # type: ignore[misc]
        assert _says(service, "spans_not_taken") == 1, "said once, not each time"
    receiver.start()
    mail = {"channel": "email", "address": "duty@agency.example"}
    call("POST", f"{system.notifier.url}/v1/subscriptions", system.keys[ICE_BOSTON.source], mail)
    release(system, 3, remote(0xA5))
    trace_of(receiver, f"{0xA5:032x}", "deliver email")
    spans = trace_of(receiver, f"{0xA5:032x}", "deliver webhook")
    assert line(spans, receiver.named("deliver webhook", f"{0xA5:032x}")[0])[0] == "POST /v1/events"
    wait_for(lambda: _says(system.matcher, "spans_taken_again"), "it is said that spans are taken again")


def _says(service: ServiceProcess, event: str) -> int:
    """How often it is in the log."""
    return [line["event"] for line in service.log_events()].count(event)


def _spans(system: System, name: str, outcome: str) -> float:
    service = next(s for s in system.services if s.name == name)
    return total(service, f'sallyport_spans_total{{outcome="{outcome}"}}')


def _nobody_is_named(system: System, receiver: Receiver, endpoint: Endpoint) -> None:
    """G8, and what a recipient is not told."""
    secrets = [SURNAME, GIVEN, "BK-", "REF-", "9100001", "booked-", "duty@", endpoint.url, system.keys[HARTFORD.source]]
    told = "\n".join(repr(span) for span in receiver.spans)
    assert found_in(told, [secret.casefold() for secret in secrets]) == []
    assert found_in(told, ["epi_", JAIL.casefold()]), "the search does find what is there"
    assert {name for span in receiver.spans for name in span.attributes} <= ATTRIBUTES
    assert not {name for headers in endpoint.headers for name in headers} & {"traceparent", "tracestate"}
    topics = ["custody.events.v1", "detainers.v1", "conflicts.v1", "reviews.v1", "review.decisions.v1", "notices.v1"]
    for record in read_whole(system.stack.kafka_bootstrap_servers, topics):
        assert traceparent_of(record.headers) is not None, record.topic


def test_without_an_endpoint_nothing_is_made_up_and_what_a_sender_gave_is_carried_on(
    stack: StackInfo, database_url: str, tmp_path: Path
) -> None:
    with Receiver() as receiver, Endpoint() as endpoint:
        # OpenTelemetry's own variable turns nothing on.
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_TRACES_EXPORTER": "otlp"}
        with running(stack, database_url, tmp_path / "run", endpoint, **more) as system:
            book(system, 1, who(1))
            lodge(system, 1, who(1))
            lodge(system, 2, who(2))
            book(system, 2, who(2), remote(0xD2))
            assert wait_until(lambda: endpoint.taken == 2, seconds=60)
            topics = ["custody.events.v1", "detainers.v1", "conflicts.v1", "notices.v1"]

            def records() -> list[Any]:
                return read_whole(stack.kafka_bootstrap_servers, topics)

            assert wait_until(lambda: sum(r.topic == "notices.v1" for r in records()) == 2, seconds=60)
            found = {topic: [traceparent_of(r.headers) for r in records() if r.topic == topic] for topic in topics}
            assert found.pop("detainers.v1") == [None, None]
            for carried in found.values():
                assert sorted(carried, key=str) == [remote(0xD2), None]
            raw = "\n".join(repr(record.headers) for record in records())
            assert raw.count("ce_traceparent") == 3, "no header is written without a value"
            assert SURNAME not in raw, "tracestate is not taken"
            for service in system.services:
                assert "sallyport_spans_total{" not in service.get("/metrics")[1]
        assert receiver.spans == []
        assert not {name for headers in endpoint.headers for name in headers} & {"traceparent", "tracestate"}
