"""Which trace an event goes on in: that of the request, or its own (CloudEvents, Distributed Tracing extension)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from contracts.traceparent import traceparent_of
from contracts.types.registry import Source
from services.ingest.adapters.records import event_record, reject_records
from services.ingest.api.events import _envelope_of
from services.ingest.api.traces import Sending
from services.ingest.domain.events import accept, read_envelope
from services.ingest.domain.refusal import Refused

NOW = datetime(2023, 2, 2, tzinfo=UTC)
SOURCE = Source(id="test-jail", key_sha256=["0" * 64], facilities=["CTTEST099"])
DATA = json.loads(Path("contracts/examples/custody-event.v1/released.json").read_text())
HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OWN = "00-0af7651916cd43dd8448eb211c80319c-b9c7c989f97918e1-01"
SAME_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-1111111111111111-01"
ABSENT = object()


def carried(header: str | None, attribute: Any = ABSENT) -> str | None:
    """What the record of an event carries, with no endpoint set."""
    event = {"specversion": "1.0", "id": "e", "source": "test-jail", "type": f"sallyport.custody.{DATA['kind']}.v1"}
    event |= {"data": DATA} | ({} if attribute is ABSENT else {"traceparent": attribute})
    envelope = read_envelope(json.dumps(event).encode())
    accepted = accept(envelope, "test-jail", NOW, timedelta(days=9999))
    request = make_mocked_request("POST", "/v1/events", headers={"traceparent": header} if header else {})
    sending = Sending("custody.events.v1", request, SOURCE)
    record = event_record(accepted, NOW, sending.of_event(envelope.traceparent, accepted))
    sending.end(1)
    return traceparent_of(record.headers)


def test_the_header_where_the_event_says_nothing() -> None:
    assert carried(HEADER) == HEADER
    assert carried(None) is None


def test_the_events_own_where_it_has_one() -> None:
    assert carried(None, OWN) == OWN
    assert carried(HEADER, OWN) == OWN


def test_the_header_where_both_are_of_one_trace() -> None:
    """It names the nearer span."""
    assert carried(HEADER, SAME_TRACE) == HEADER


@pytest.mark.parametrize("bad", ["", "nonsense", OWN.upper(), 7, None, True, [OWN], {"traceparent": OWN}, 1e308])
def test_one_that_is_none_is_no_ground_to_refuse_anything(bad: Any) -> None:
    assert carried(HEADER, bad) == HEADER
    assert carried(None, bad) is None
    if isinstance(bad, str) and bad.isascii():
        assert carried(bad, OWN) == OWN


def test_in_binary_mode_it_is_a_header() -> None:
    headers = {"ce-id": "e", "ce-traceparent": OWN.replace("-", "%2D"), "traceparent": HEADER}
    envelope = _envelope_of(make_mocked_request("POST", "/v1/events", headers=headers), b"{}")
    sending = Sending("custody.events.v1", make_mocked_request("POST", "/v1/events", headers=headers), SOURCE)
    assert sending.of_event(envelope.traceparent, _accepted()) == OWN
    bad = _envelope_of(make_mocked_request("POST", "/v1/events", headers={"ce-traceparent": '"\\'}), b"{}")
    assert sending.of_event(bad.traceparent, _accepted()) == HEADER


def _accepted() -> Any:
    event = {"specversion": "1.0", "id": "e", "source": "test-jail", "type": f"sallyport.custody.{DATA['kind']}.v1"}
    return accept(read_envelope(json.dumps(event | {"data": DATA}).encode()), "test-jail", NOW, timedelta(days=9999))


def test_a_reject_belongs_to_the_request_that_was_refused() -> None:
    (record,) = reject_records(b"x", Refused("malformed_json", "no"), source="s", edge="e", now=NOW, traceparent=HEADER)
    assert traceparent_of(record.headers) == HEADER
