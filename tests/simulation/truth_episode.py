"""What all facts about one booking come to, read from the start every time (docs/lifecycle.md, "An episode")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product

from contracts.ids import episode_id
from contracts.types.conflict import CustodyStatus
from contracts.types.custody import (
    Booked,
    CustodyEvent,
    Died,
    Escaped,
    HeldElsewhere,
    Merged,
    ReleaseCancelled,
    Released,
    ReleaseReason,
    ReleaseScheduled,
    Returned,
    Transferred,
    Unmerged,
    Updated,
    Voided,
)
from contracts.types.feed import Breaker, BreakerState
from contracts.types.person import Identifier, Person

__all__ = ["Episode", "Said", "episode_of", "people_ever", "stopped_by"]


@dataclass(frozen=True)
class Said:
    """A custody event as ingest accepted it: who said it, under which id, and when it was accepted."""

    source: str
    event_id: str
    accepted_at: datetime
    event: CustodyEvent

    @property
    def episode_id(self) -> str:
        return episode_id(self.event.facility, self.event.booking_number)

    @property
    def order(self) -> tuple[datetime, int, str, str]:
        return (self.event.occurred_at, self.event.sequence, self.source, self.event_id)


_TRIPS = {
    ReleaseReason.COURT: CustodyStatus.HELD_ELSEWHERE,
    ReleaseReason.HOSPITAL: CustodyStatus.HELD_ELSEWHERE,
    ReleaseReason.TEMPORARY_ABSENCE: CustodyStatus.HELD_ELSEWHERE,
    ReleaseReason.ESCAPE: CustodyStatus.ESCAPED,
    ReleaseReason.TRANSFER: CustodyStatus.TRANSFERRED,
    ReleaseReason.DEATH: CustodyStatus.DIED,
}
"""Releases that are none to the community (rule 6), and what they are instead."""
_ENDS = (CustodyStatus.RELEASED, CustodyStatus.INFERRED_RELEASE, CustodyStatus.TRANSFERRED, CustodyStatus.DIED)


@dataclass(frozen=True)
class Episode:
    """A booking as the facts have it. scheduled: the release to come; ended: what ended custody; admitted_at: when it
    was first reported as booked, and else the first fact."""

    episode_id: str
    facility: str
    voided: bool
    person: Person | None
    admitted_at: datetime | None
    status: CustodyStatus
    scheduled: Said | None
    ended: Said | None


def left_standing(facts: Iterable[Said], breakers: Iterable[Breaker] = ()) -> list[Said]:
    """The facts of one episode that nothing newer has replaced, no void takes back and no operator has discarded, in
    their order; voids themselves are left out."""
    newest: dict[tuple[str, str], Said] = {}
    accepted: dict[tuple[str, str], datetime] = {}
    for fact in sorted(facts, key=lambda f: f.accepted_at):
        key = (fact.source, fact.event_id)
        if key not in newest or fact.order > newest[key].order:  # of the same again, the first time counts
            newest[key] = fact
        if fact.order == newest[key].order:
            accepted[key] = fact.accepted_at
    kept = list(newest.values())

    def taken_back(fact: Said) -> bool:
        naming = [void for void in kept if _names(void, fact)]
        if isinstance(fact.event, Voided):
            naming = [void for void in naming if void.order > fact.order]
        return any(not taken_back(void) for void in naming)

    gone = [b for b in breakers if b.state is BreakerState.DISCARDED]

    def as_counted(fact: Said) -> Said | None:
        """None: discarded, and not sent again since."""
        for at in (fact.accepted_at, accepted[fact.source, fact.event_id]):
            if not any(stopped_by(b, fact) and b.decided_at and at <= b.decided_at for b in gone):
                return replace(fact, accepted_at=at)
        return None

    told = [as_counted(f) for f in kept if not isinstance(f.event, Voided) and not taken_back(f)]
    return sorted((fact for fact in told if fact is not None), key=lambda f: f.order)


def stopped_by(breaker: Breaker, fact: Said) -> bool:
    """Whether a breaker is about this fact (rule 19)."""
    event = fact.event
    return isinstance(event, Released) and event.facility == breaker.facility and event.occurred_at >= breaker.since


def _names(void: Said, fact: Said) -> bool:
    event = void.event
    if not isinstance(event, Voided) or void is fact:
        return False
    return (event.voids_source or void.source, event.voids_event) == (fact.source, fact.event_id)


def episode_of(facts: Sequence[Said], breakers: Iterable[Breaker] = ()) -> Episode:
    """One booking, from all facts about it."""
    standing = left_standing(facts, breakers)
    bookings = [f for f in standing if isinstance(f.event, Booked)]
    was_booked = any(isinstance(f.event, Booked) for f in facts)
    first = bookings[:1] or standing[:1]
    status, ended = _custody(standing)
    return Episode(
        episode_id=facts[0].episode_id,
        facility=facts[0].event.facility,
        voided=was_booked and not bookings,
        person=person_of(standing),
        admitted_at=first[0].event.occurred_at if first else None,
        status=status,
        scheduled=None if ended else _scheduled(standing),
        ended=ended,
    )


def _becomes(event: CustodyEvent) -> CustodyStatus | None:
    """What this event alone says of custody."""
    match event:
        case Released(inferred=True):
            return CustodyStatus.INFERRED_RELEASE
        case Released():
            return _TRIPS.get(event.reason, CustodyStatus.RELEASED)
        case Transferred():
            return CustodyStatus.TRANSFERRED
        case Died():
            return CustodyStatus.DIED
        case HeldElsewhere():
            return CustodyStatus.HELD_ELSEWHERE
        case Escaped():
            return CustodyStatus.ESCAPED
        case Returned():
            return CustodyStatus.IN_CUSTODY
    return None


def _custody(standing: Sequence[Said]) -> tuple[CustodyStatus, Said | None]:
    """Where the person is, and the fact that ended custody."""
    status, ended = CustodyStatus.IN_CUSTODY, None
    for fact in standing:
        says = _becomes(fact.event)
        if says is None or status is CustodyStatus.DIED:
            continue
        has_left = ended is not None or status is CustodyStatus.ESCAPED
        if says is CustodyStatus.INFERRED_RELEASE and has_left:
            continue
        if says in _ENDS:
            status, ended = says, fact
        elif says is CustodyStatus.IN_CUSTODY:
            status, ended = says, None
        elif ended is None or status is CustodyStatus.INFERRED_RELEASE:
            status, ended = says, None  # elsewhere or escaped: only somebody who had not left can be
    return status, ended


def _scheduled(standing: Sequence[Said]) -> Said | None:
    """The newest release to come that nothing has taken back."""
    found = None
    for fact in standing:
        event, says = fact.event, _becomes(fact.event)
        if isinstance(event, ReleaseScheduled):
            found = None if event.reason in _TRIPS else fact
        elif isinstance(event, ReleaseCancelled) or (says in _ENDS and says is not CustodyStatus.INFERRED_RELEASE):
            found = None
    return found


def person_of(standing: Iterable[Said]) -> Person | None:
    """Everything that is known of the person; None while nobody is named. Facts in their order, voids left out."""
    names, births, sexes, claims = [], [], [], []
    identifiers: dict[tuple[str, str | None], list[Identifier]] = {}
    links: dict[frozenset[tuple[str, str, str | None]], tuple[bool, Identifier, Identifier]] = {}
    people = 0
    for fact in standing:
        event = fact.event
        if isinstance(event, Booked | Updated) and event.person is not None:
            people += 1
            names.append(event.person.names)
            births.append(event.person.birth_dates)
            sexes.append(event.person.sex)
            claims.append(event.person.us_citizenship_claimed)
            for slot in {(i.kind.value, i.issuer) for i in event.person.identifiers}:
                identifiers[slot] = [i for i in event.person.identifiers if (i.kind.value, i.issuer) == slot]
        elif isinstance(event, Merged | Unmerged):
            pair = frozenset((_value(event.absorbed), _value(event.surviving)))
            links[pair] = (isinstance(event, Merged), event.absorbed, event.surviving)
    if not people:
        return None
    held = [i for group in identifiers.values() for i in group]
    for _ in links:  # a chain has as many links at most
        for merged, one, other in links.values():
            has = {_value(i) for i in held}
            if merged and (_value(one) in has) != (_value(other) in has):
                held.append(other if _value(one) in has else one)
    return Person(
        names=[*{name: None for group in reversed(names) for name in group}],
        birth_dates=[*{born: None for group in reversed(births) for born in group}],
        sex=next((sex for sex in reversed(sexes) if sex is not None), None),
        identifiers=sorted(held, key=_sorting),
        us_citizenship_claimed=any(claims) or None,
    )


def people_ever(facts: Sequence[Said]) -> list[Person]:
    """Every person that some part of the facts about a booking describes, whatever has not come yet or is voided."""
    speaking = [f for f in facts if isinstance(f.event, Booked | Updated | Merged | Unmerged)]
    distinct = list({(f.order, repr(f.event)): f for f in speaking}.values())
    people: list[Person] = []
    for there in product((False, True), repeat=len(distinct)):
        person = person_of(left_standing(f for f, here in zip(distinct, there, strict=True) if here))
        if person is not None and person not in people:
            people.append(person)
    return people


def _value(identifier: Identifier) -> tuple[str, str, str | None]:
    return (identifier.kind.value, identifier.value, identifier.issuer)


def _sorting(identifier: Identifier) -> tuple[str, str, str]:
    return (identifier.kind.value, identifier.issuer or "", identifier.value)
