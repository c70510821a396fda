"""Every way in which a custody event can be refused, with its code and the field at fault."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.types.custody import CustodyEvent, Merged, Released, Unmerged
from services.ingest.domain.events import Accepted, Envelope, accept, read_envelope, type_of
from services.ingest.domain.refusal import Refused

NOW = datetime(2023, 2, 1, 12, tzinfo=UTC)
FUTURE = timedelta(hours=24)
EXAMPLES = sorted(Path("contracts/examples/custody-event.v1").glob("*.json"))
GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "evt-1",
    "source": "test-jail",
    "type": "sallyport.custody.released.v1",
    "data": {
        "kind": "released",
        "facility": "CTTEST099",
        "booking_number": "B-1",
        "occurred_at": "2023-02-01T07:00:00-05:00",
        "reason": "to_agency",
        "released_to": "ICETEST99",
    },
}
ABSENT = object()


def judge(event: Any) -> Accepted:
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return accept(read_envelope(raw), "test-jail", NOW, FUTURE)


def changed(path: str, value: Any) -> dict[str, Any]:
    event = deepcopy(GOOD)
    *parents, last = path.split(".")
    at = event
    for name in parents:
        at = at[name]
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return event


def test_a_good_event_comes_through_whole() -> None:
    accepted = judge(GOOD)

    assert (accepted.id, accepted.source, accepted.kind) == ("evt-1", "test-jail", "released")
    assert json.loads(msgspec.json.encode(accepted.event)) == GOOD["data"] | {
        "occurred_at": "2023-02-01T07:00:00-05:00"
    }


def test_the_kind_may_be_left_to_the_type() -> None:
    assert judge(changed("data.kind", ABSENT)) == judge(GOOD)


def test_extensions_and_a_null_are_let_pass() -> None:
    assert judge(GOOD | {"traceparent": "x", "time": "whenever", "subject": "s"}) == judge(GOOD)
    event = judge(changed("data.released_to", None)).event
    assert isinstance(event, Released) and event.released_to is None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_written_is_what_the_contract_would_write(example: Path) -> None:
    raw = example.read_bytes()
    plain = msgspec.json.decode(raw, type=CustodyEvent)
    kind = json.loads(raw)["kind"]
    envelope = Envelope(specversion="1.0", id="1", source="s", type=type_of(kind), data=msgspec.Raw(raw))

    accepted = accept(envelope, "s", datetime(2990, 1, 1, tzinfo=UTC), FUTURE)

    assert msgspec.json.encode(accepted.event) == msgspec.json.encode(plain)
    assert isinstance(accepted.event, type(plain))


@pytest.mark.parametrize(
    ("path", "value", "code", "field"),
    [
        ("specversion", "0.3", "specversion_unsupported", "$.specversion"),
        ("specversion", ABSENT, "specversion_unsupported", "$.specversion"),
        ("id", ABSENT, "missing_field", "$.id"),
        ("id", "", "missing_field", "$.id"),
        ("id", "x" * 129, "invalid_value", "$.id"),
        ("id", 7, "wrong_type", "$.id"),
        ("source", "other-jail", "source_mismatch", "$.source"),
        ("source", ABSENT, "source_mismatch", "$.source"),
        ("type", "sallyport.custody.relased.v1", "type_unknown", "$.type"),
        ("type", "sallyport.custody.released.v2", "type_unknown", "$.type"),
        ("type", "sallyport.custody.died.v1", "kind_mismatch", "$.data.kind"),
        ("data.kind", "died", "kind_mismatch", "$.data.kind"),
        ("data.kind", 7, "kind_mismatch", "$.data.kind"),
        ("datacontenttype", "text/xml", "datacontenttype_unsupported", "$.datacontenttype"),
        ("data", ABSENT, "missing_field", "$.data"),
        ("data", [], "wrong_type", "$.data"),
        ("data.relased_to", "ICETEST99", "unknown_field", "$.data.relased_to"),
        ("data.person", {}, "unknown_field", "$.data.person"),
        ("data.facility", ABSENT, "missing_field", "$.data.facility"),
        ("data.facility", "Hartford Jail", "invalid_value", "$.data.facility"),
        ("data.booking_number", 12, "wrong_type", "$.data.booking_number"),
        ("data.booking_number", "", "invalid_value", "$.data.booking_number"),
        ("data.occurred_at", "2023-02-01", "invalid_value", "$.data.occurred_at"),
        ("data.occurred_at", "2023-02-01T07:00:00", "invalid_value", "$.data.occurred_at"),
        ("data.occurred_at", "9999-12-31T23:59:59-05:00", "invalid_value", "$.data.occurred_at"),
        ("data.occurred_at", "2023-02-02T12:00:01Z", "occurred_at_in_future", "$.data.occurred_at"),
        ("data.reason", "vanished", "invalid_value", "$.data.reason"),
        ("data.sequence", -1, "invalid_value", "$.data.sequence"),
        ("data.inferred", "yes", "wrong_type", "$.data.inferred"),
    ],
)
def test_refusals_name_their_code_and_field(path: str, value: Any, code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        judge(changed(path, value))
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_misspelled_field_is_found_however_deep() -> None:
    event = changed("type", "sallyport.custody.booked.v1")
    event["data"] = {
        "facility": "CTTEST099", "booking_number": "B-1", "occurred_at": "2023-02-01T07:00:00Z",
        "person": {"names": [{"surname": "Sample"}, {"surname": "Sample", "givn": "Ann"}]},
    }  # fmt: skip
    with pytest.raises(Refused) as refused:
        judge(event)
    assert (refused.value.code, refused.value.field) == ("unknown_field", "$.data.person.names[1].givn")


def sid(value: str, issuer: str | None = "CT") -> dict[str, Any]:
    return {"kind": "sid", "value": value, "issuer": issuer}


def merge(kind: str, absorbed: Any, surviving: Any) -> Accepted:
    event = changed("type", f"sallyport.custody.{kind}.v1")
    event["data"] = {
        "facility": "CTTEST099", "booking_number": "B-1", "occurred_at": "2023-02-01T07:00:00Z",
        "absorbed": absorbed, "surviving": surviving,
    }  # fmt: skip
    return judge(event)


@pytest.mark.parametrize("kind", ["merged", "unmerged"])
@pytest.mark.parametrize(
    ("absorbed", "surviving"),
    [
        (sid("990098"), sid("990099")),
        ({"kind": "ucn", "value": "990099XX8"}, {"kind": "ucn", "value": "990099XX9"}),
        ({"kind": "a_number", "value": "A000000098"}, {"kind": "a_number", "value": "A000000099"}),
        (sid("P-1", "CTTEST099") | {"kind": "agency_local"}, sid("P-2", "CTTEST099") | {"kind": "agency_local"}),
    ],
    ids=["sid", "ucn", "a_number", "agency_local"],
)
def test_two_records_of_one_register_are_merged_and_unmerged(kind: str, absorbed: Any, surviving: Any) -> None:
    event = merge(kind, absorbed, surviving).event
    assert isinstance(event, Merged | Unmerged)
    assert (event.absorbed.value, event.surviving.value) == (absorbed["value"], surviving["value"])


@pytest.mark.parametrize("kind", ["merged", "unmerged"])
@pytest.mark.parametrize(
    ("absorbed", "surviving", "code", "field"),
    [
        (sid("1") | {"kind": "ssn4"}, sid("2"), "identifier_not_mergeable", "absorbed.kind"),
        (sid("1"), {"kind": "ssn4", "value": "0099"}, "identifier_not_mergeable", "surviving.kind"),
        (sid("1"), {"kind": "ucn", "value": "2"}, "merge_mismatch", "surviving.kind"),
        (sid("1"), sid("2", "MA"), "merge_mismatch", "surviving.issuer"),
        ({"kind": "ucn", "value": "1"}, {"kind": "ucn", "value": "2", "issuer": "FBI"}, "merge_mismatch",
         "surviving.issuer"),
        (sid("1", None), sid("2"), "missing_field", "absorbed.issuer"),
        (sid("1"), sid("2", None), "missing_field", "surviving.issuer"),
        (sid("P-1", None) | {"kind": "agency_local"}, sid("P-2") | {"kind": "agency_local"}, "missing_field",
         "absorbed.issuer"),
        (sid("99-00-99"), sid("990099"), "merge_with_itself", "surviving.value"),
        (sid("ab1"), sid("AB1"), "merge_with_itself", "surviving.value"),
        ("990098", sid("990099"), "wrong_type", "absorbed"),
        (sid("1") | {"kind": "name"}, sid("2"), "invalid_value", "absorbed.kind"),
    ],
)  # fmt: skip
def test_what_is_no_merge_is_refused(kind: str, absorbed: Any, surviving: Any, code: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        merge(kind, absorbed, surviving)
    assert (refused.value.code, refused.value.field) == (code, f"$.data.{field}")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"nonsense", b"\xff", b'{"id":"\xff"}', b'{"id":"\\ud800"}', b"{}{}"], ids=repr
)
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        judge(raw)
    assert refused.value.code == "malformed_json"


def test_data_in_base64_is_not_taken_and_said_so() -> None:
    event = {key: value for key, value in GOOD.items() if key != "data"} | {"data_base64": "e30="}
    with pytest.raises(Refused, match="missing_field") as refused:
        judge(event)
    assert "data_base64" in refused.value.detail
