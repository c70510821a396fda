"""Facts, detainers and decisions about one man, by hours from one noon, and the truth about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.ids import decision_id, detainer_id, episode_id, review_id
from contracts.types.common import Tier
from contracts.types.conflict import Decision, ReviewDecision
from contracts.types.custody import Booked, CustodyEvent
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from contracts.types.feed import Breaker, BreakerState
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName
from tests.simulation.truth import Said, Truth, truth

NOON = datetime(2023, 3, 1, 17, tzinfo=UTC)
"""A Wednesday, noon in New York; no holiday for months."""
FACILITY, BOOKING, SOURCE, AGENCY = "CTHRTFD00", "B-1", "hartford-jms", "ICEBOSTN0"
DETAINER = detainer_id(AGENCY, "D-1")
EPISODE = episode_id(FACILITY, BOOKING)
PAIR = (DETAINER, EPISODE)
LATER = 2000.0
"""An hour at which every timer is due."""


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def sid(value: str) -> Identifier:
    return Identifier(kind=IdentifierKind.SID, value=value, issuer="CT")


def somebody(*sids: str, surname: str = "Quillfeather", claims: bool | None = None) -> Person:
    return Person(
        names=[PersonName(surname=surname, given="Orsolo")],
        birth_dates=["1990-03-04"],
        identifiers=[sid(value) for value in sids],
        us_citizenship_claimed=claims,
    )


def say(
    kind: type[CustodyEvent], hours: float, event_id: str = "", *, accepted: float | None = None, source: str = SOURCE,
    sequence: int = 0, **fields: Any,
) -> Said:  # fmt: skip
    """A fact of BOOKING, accepted as it happened unless told otherwise."""
    if kind is Booked:
        fields.setdefault("person", somebody("1"))
    event = kind(facility=FACILITY, booking_number=BOOKING, occurred_at=at(hours), sequence=sequence, **fields)
    name = event_id or f"{event.__struct_config__.tag}-{hours:g}-{sequence}"
    return Said(source, name, at(hours if accepted is None else accepted), event)


def wants(
    lodged: float = -100,
    state: DetainerState = DetainerState.ACTIVE,
    changed: float | None = None,
    *,
    who: Person | None = None,
    kind: DetainerType = DetainerType.IMMIGRATION,
    intent: Intent = Intent.HOLD,
    expires: float | None = None,
    agency: str = AGENCY,
    accepted: float | None = None,
) -> Detainer:
    """A version of the detainer D-1, lodged at an hour and changed to `state` at another."""
    moved = lodged if changed is None else changed
    return Detainer(
        detainer_id=detainer_id(agency, "D-1"),
        agency=agency,
        agency_reference="D-1",
        type=kind,
        intent=intent,
        state=state,
        person=who or somebody("1"),
        lodged_at=at(lodged),
        occurred_at=at(moved),
        accepted_at=at(moved if accepted is None else accepted),
        expires_at=None if expires is None else at(expires),
        ended_at=None if state in (DetainerState.ACTIVE, DetainerState.RECEIVED) else at(moved),
    )


def decides(decision: Decision, hours: float, evidence: str = "seen") -> ReviewDecision:
    review = review_id(*PAIR)
    return ReviewDecision(
        decision_id=decision_id(review, 1, decision, "r"),
        review_id=review,
        version=1,
        evidence_id=evidence,
        detainer_id=DETAINER,
        episode_id=EPISODE,
        decision=decision,
        reason="looked",
        reviewer="r",
        decided_at=at(hours),
    )


def breaker(state: BreakerState, since: float, decided: float | None = None) -> Breaker:
    return Breaker(
        breaker_id="brk_" + "a" * 24,
        facility=FACILITY,
        state=state,
        since=at(since),
        tripped_at=at(since),
        releases=300,
        population=400,
        window_s=600.0,
        decided_at=None if decided is None else at(decided),
    )


def by_sid(held: Person, wanted: Person) -> Tier:
    """Who is who in these tests: one SID in common CONFIRMED, one surname in common POSSIBLE."""
    ours, theirs = ({i.value for i in p.identifiers} for p in (held, wanted))
    if ours & theirs:
        return Tier.CONFIRMED
    surnames = [{n.surname for n in p.names} for p in (held, wanted)]
    return Tier.POSSIBLE if surnames[0] & surnames[1] else Tier.NONE


def told(
    facts: Sequence[Said],
    detainers: Sequence[Detainer] | Detainer,
    *,
    decisions: Sequence[ReviewDecision] = (),
    breakers: Sequence[Breaker] = (),
    now: float = LATER,
    evidence: str | None = "seen",
) -> Truth:
    versions = [detainers] if isinstance(detainers, Detainer) else detainers
    return truth(
        facts, versions, decisions, breakers,
        same_person=by_sid, now=at(now), zones={FACILITY: "America/New_York"}, evidence_of=lambda *_: evidence,
    )  # fmt: skip
