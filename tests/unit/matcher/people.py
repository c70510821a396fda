"""Builders for the matcher's tests: synthetic people, facts and detainers, with times as hours from one start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.ids import detainer_id
from contracts.types.custody import Booked, CustodyEvent
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex
from services.matcher.domain.episode import Fact

START = datetime(2023, 1, 1, tzinfo=UTC)
FACILITY = "CTHRTFD00"
AGENCY = "MAICE0001"
BOOKING = "B-1"


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def person(
    surname: str = "Quillfeather",
    given: str = "Orsolo",
    birth_date: str = "1990-03-04",
    sid: str | None = "1234567",
    state: str = "CT",
    sex: Sex | None = Sex.MALE,
    **ids: str,
) -> Person:
    identifiers = [Identifier(kind=IdentifierKind.SID, value=sid, issuer=state)] if sid else []
    identifiers += [
        Identifier(kind=IdentifierKind(kind), value=value, issuer="CTDOC0001" if kind == "agency_local" else None)
        for kind, value in ids.items()
    ]
    return Person(
        names=[PersonName(surname=surname, given=given)], birth_dates=[birth_date], sex=sex, identifiers=identifiers
    )


def sid(value: str, state: str = "CT") -> Identifier:
    return Identifier(kind=IdentifierKind.SID, value=value, issuer=state)


def fact(kind: type[CustodyEvent], hours: float, event_id: str | None = None, sequence: int = 0, **fields: Any) -> Fact:
    """A fact of BOOKING; its event id, unless given, follows from what it says."""
    if kind is Booked:
        fields.setdefault("person", person())
    event = kind(facility=FACILITY, booking_number=BOOKING, occurred_at=at(hours), sequence=sequence, **fields)
    tag = str(event.__struct_config__.tag)
    return Fact("hartford-jms", event_id or f"{tag}-{hours:g}-{sequence}", at(hours), event)


def detainer(
    hours: float = -24,
    state: DetainerState = DetainerState.ACTIVE,
    changed: float | None = None,
    who: Person | None = None,
    sequence: int = 0,
    reference: str = "D-1",
    agency: str = AGENCY,
    type: DetainerType = DetainerType.IMMIGRATION,
    intent: Intent = Intent.HOLD,
) -> Detainer:
    """A detainer lodged at `hours`; `changed` is when this version of it came about."""
    moved = at(hours if changed is None else changed)
    ended = state not in (DetainerState.ACTIVE, DetainerState.RECEIVED)
    return Detainer(
        detainer_id=detainer_id(agency, reference),
        agency=agency,
        agency_reference=reference,
        type=type,
        intent=intent,
        state=state,
        person=who or person(),
        lodged_at=at(hours),
        occurred_at=moved,
        accepted_at=moved,
        sequence=sequence,
        ended_at=moved if ended else None,
    )
