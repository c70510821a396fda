"""What commands do to a detainer, and which are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from contracts.ids import detainer_id
from contracts.types.detainer import Detainer, DetainerState
from services.ingest.domain.detainers import decide, read_command
from services.ingest.domain.refusal import Refused

NOW = datetime(2023, 4, 5, tzinfo=UTC)
PERSON = {"names": [{"surname": "Sample", "given": "Ann"}]}


def command(action: str, day: int, **fields: Any) -> dict[str, Any]:
    full = {"type": "immigration", "intent": "HOLD", "person": PERSON} if action in ("lodge", "amend") else {}
    return {
        "action": action,
        "agency": "ICETEST99",
        "agency_reference": "REF-1",
        "occurred_at": f"2023-03-{day:02}T09:00:00-05:00",
        **full,
        **fields,
    }


def after(*commands: dict[str, Any]) -> Detainer:
    """The detainer as it stands after commands that are all taken; written and read between, as on the topic."""
    current: Detainer | None = None
    for raw in commands:
        version = decide(read_command(json.dumps(raw).encode()), current, NOW, timedelta(days=1))
        assert version is not None
        current = msgspec.json.decode(msgspec.json.encode(version), type=Detainer)
    assert current is not None
    return current


def refusal(raw: dict[str, Any], current: Detainer | None) -> str:
    with pytest.raises(Refused) as refused:
        decide(read_command(json.dumps(raw).encode()), current, NOW, timedelta(days=1))
    return refused.value.code


def test_a_lodged_detainer_is_active() -> None:
    detainer = after(command("lodge", 1))

    assert detainer.detainer_id == detainer_id("ICETEST99", "REF-1")
    assert (detainer.state, detainer.accepted_at) == (DetainerState.ACTIVE, NOW)
    assert detainer.lodged_at == detainer.occurred_at == datetime(2023, 3, 1, 14, tzinfo=UTC)


def test_an_amendment_is_whole_and_keeps_when_it_was_lodged() -> None:
    detainer = after(
        command("lodge", 1, expires_at="2024-01-01T00:00:00Z"), command("amend", 2, intent="NOTIFY_ONLY", sequence=3)
    )

    assert detainer.intent == "NOTIFY_ONLY"
    assert detainer.expires_at is None  # what the amendment leaves out is gone
    assert detainer.lodged_at == datetime(2023, 3, 1, 14, tzinfo=UTC)
    assert (detainer.occurred_at, detainer.sequence) == (datetime(2023, 3, 2, 14, tzinfo=UTC), 3)


@pytest.mark.parametrize(
    ("action", "state", "fields"),
    [
        ("lift", "lifted", {"reason": "case closed"}),
        ("withdraw", "withdrawn", {"reason": "wrong person"}),
        ("custody_assumed", "custody_assumed", {}),
        ("decline", "declined", {"reason": "no judicial warrant"}),
        ("supersede", "superseded", {"by": "REF-2"}),
    ],
)
def test_an_end_carries_the_person_over(action: str, state: str, fields: dict[str, Any]) -> None:
    ended = after(command("lodge", 1), command(action, 2, **fields))

    assert ended.state == state
    assert ended.person == after(command("lodge", 1)).person
    assert (ended.ended_at, ended.end_reason) == (ended.occurred_at, fields.get("reason"))
    assert ended.superseded_by == fields.get("by")
    assert refusal(command("amend", 3), ended) == "detainer_ended"
    assert refusal(command("lift", 3), ended) == "detainer_ended"
    assert refusal(command("lodge", 3), ended) == "detainer_exists"


@pytest.mark.parametrize(
    "last",
    [
        command("lodge", 1),
        command("amend", 2, intent="NOTIFY_ONLY"),
        command("lift", 2),
        command("withdraw", 2),
        command("decline", 2),
        command("supersede", 2, by="REF-2"),
    ],
    ids=lambda c: str(c["action"]),
)
def test_the_same_command_again_changes_nothing(last: dict[str, Any]) -> None:
    current = after(last) if last["action"] == "lodge" else after(command("lodge", 1), last)
    later = NOW + timedelta(hours=1)
    assert decide(read_command(json.dumps(last).encode()), current, later) is None


def test_refusals() -> None:
    lodged = after(command("lodge", 5))

    assert refusal(command("lift", 6), None) == "detainer_unknown"
    assert refusal(command("lodge", 5, intent="NOTIFY_ONLY"), lodged) == "detainer_exists"
    assert refusal(command("lodge", 6), lodged) == "detainer_exists"
    assert refusal(command("lift", 4), lodged) == "stale_version"
    assert refusal(command("amend", 5, intent="NOTIFY_ONLY"), lodged) == "stale_version"
    assert refusal(command("lift", 6, occurred_at="2023-04-07T00:00:00Z"), lodged) == "occurred_at_in_future"
    amended = decide(
        read_command(json.dumps(command("amend", 5, intent="NOTIFY_ONLY", sequence=1)).encode()), lodged, NOW
    )
    assert amended is not None and amended.sequence == 1  # one that orders itself after is newer


def test_one_is_superseded_by_another_once() -> None:
    """The agency lodges the new form and supersedes the old one. Which comes first is its business, not ours."""
    superseded = after(command("lodge", 1), command("supersede", 2, by="REF-2"))

    assert refusal(command("supersede", 2, by="REF-3"), superseded) == "detainer_ended"
    assert refusal(command("supersede", 3, by="REF-2"), superseded) == "detainer_ended"
    assert refusal(command("supersede", 2, by="REF-2"), None) == "detainer_unknown"
    for current in (None, after(command("lodge", 1)), superseded):
        with pytest.raises(Refused) as refused:
            decide(read_command(json.dumps(command("supersede", 3, by="REF-1")).encode()), current, NOW)
        assert (refused.value.code, refused.value.field) == ("superseded_by_itself", "$.by")


@pytest.mark.parametrize("until", ["2024-01-01T00:00:00Z", None])
def test_an_amendment_renews_what_has_lapsed(until: str | None) -> None:
    """It lapsed on 10 March, and it is April now: nobody has ended it, and the agency says that it wants it still."""
    lapsed = after(command("lodge", 1, expires_at="2023-03-10T00:00:00Z"))
    assert lapsed.expires_at is not None and lapsed.expires_at < NOW

    renewed = decide(read_command(json.dumps(command("amend", 20, expires_at=until)).encode()), lapsed, NOW)

    assert renewed is not None and renewed.state is DetainerState.ACTIVE
    assert renewed.expires_at == (datetime.fromisoformat(until) if until else None)
    assert renewed.lodged_at == lapsed.lodged_at


def test_what_has_lapsed_can_still_be_ended() -> None:
    lapsed = after(command("lodge", 1, expires_at="2023-03-10T00:00:00Z"))
    assumed = decide(read_command(json.dumps(command("custody_assumed", 20)).encode()), lapsed, NOW)
    assert assumed is not None and assumed.state is DetainerState.CUSTODY_ASSUMED


def test_a_misspelled_field_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        read_command(json.dumps(command("lodge", 1, expires="2024-01-01T00:00:00Z")).encode())
    assert (refused.value.code, refused.value.field) == ("unknown_field", "$.expires")
    with pytest.raises(Refused) as refused:
        read_command(json.dumps(command("cancel", 1)).encode())
    assert (refused.value.code, refused.value.field) == ("invalid_value", "$.action")
