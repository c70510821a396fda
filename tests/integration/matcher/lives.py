"""A stream of custody events of invented people at eight jails, and detainers on some of them, by seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from contracts.ids import detainer_id
from contracts.types.custody import (
    Booked,
    Charge,
    CustodyEvent,
    Died,
    ElsewherePlace,
    Escaped,
    HeldElsewhere,
    ReleaseCancelled,
    Released,
    ReleaseReason,
    ReleaseScheduled,
    Returned,
    Transferred,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState, Intent
from deploy.demo.world.people import Human, Link, Population
from deploy.demo.world.places import AGENCIES, PLACES, Place
from tests.integration.matcher.predict import Arrival

__all__ = ["Booking", "Stream", "Wanted", "make_stream"]

_DAYS = 20
_AGENCY_CODES = [office.code for office in AGENCIES]
_COMMUNITY = (
    ReleaseReason.BOND,
    ReleaseReason.OWN_RECOGNIZANCE,
    ReleaseReason.CASE_DISMISSED,
    ReleaseReason.EXPIRATION_OF_SENTENCE,
    ReleaseReason.UNKNOWN,
)
_NEXT = {
    "schedule": 5, "cancel": 2, "release": 3, "to_agency": 2, "inferred": 2, "transfer": 1, "court": 1, "escape": 1,
    "die": 0.4, "update": 2, "void_booking": 0.3,
}  # fmt: skip
_CORRECTED, _LATE, _REPEATED = 0.15, 0.1, 0.05


@dataclass
class Booking:
    """arrivals: what is sent of it, in this order."""

    place: Place
    number: str
    human: Human
    arrivals: list[Arrival] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """A detainer: as it is before the stream, and what becomes of it after."""

    human: Human
    first: Detainer
    last: Detainer


@dataclass(frozen=True)
class Stream:
    """events: (booking, event) in the order of the whole stream, which keeps that of each booking."""

    bookings: list[Booking]
    wanted: list[Wanted]
    events: list[tuple[Booking, Arrival]]


def make_stream(seed: int, events: int, detainers: int, now: datetime) -> Stream:
    """At least so many events. now: when the last of it happened, at the latest."""
    rng = random.Random(seed)
    population = Population(rng)
    now = now.astimezone(UTC).replace(microsecond=0)
    begin = now - timedelta(days=_DAYS + 10)
    bookings: list[Booking] = []
    humans: list[Human] = []
    wanted: list[Wanted] = []
    written = 0
    while written < events:
        human = population.draw()
        humans.append(human)
        place = rng.choice(PLACES)
        agency = rng.choice(_AGENCY_CODES)
        # Two agencies want some people, and are judged one by one (rule 12).
        holders = rng.sample(_AGENCY_CODES, rng.choice((1, 1, 1, 2))) if len(wanted) < detainers else []
        for code in holders:
            wanted.append(_wanted(rng, population, human, place, code, len(wanted), begin, now))
        start = begin + timedelta(minutes=rng.randrange(_DAYS * 1440))
        led = _Life(rng, population, human, holders[0] if holders else agency, len(bookings)).lead(place, start)
        bookings += led
        written += sum(len(booking.arrivals) for booking in led)
    slots = [(rng.random(), booking, sorted(rng.random() for _ in booking.arrivals)) for booking in bookings]
    placed = [
        (begins * 0.7 + 0.3 * offset, index, booking, arrival)
        for begins, booking, offsets in slots
        for index, (offset, arrival) in enumerate(zip(offsets, booking.arrivals, strict=True))
    ]
    placed.sort(key=lambda item: item[:2])
    return Stream(bookings, wanted, [(booking, arrival) for _, _, booking, arrival in placed])


def _wanted(
    rng: random.Random,
    population: Population,
    human: Human,
    place: Place,
    agency: str,
    number: int,
    begin: datetime,
    now: datetime,
) -> Wanted:
    reference = f"D{number}"
    office = next(office for office in AGENCIES if office.code == agency)
    lodged_at = begin - timedelta(days=1 + number % 40)
    first = Detainer(
        detainer_id=detainer_id(agency, reference),
        agency=agency,
        agency_reference=reference,
        type=rng.choice(office.types),
        intent=rng.choice((Intent.HOLD, Intent.HOLD, Intent.NOTIFY_ONLY)),
        state=DetainerState.ACTIVE,
        person=population.wanted(human, rng.choice((Link.SID, Link.UCN)), place),
        lodged_at=lodged_at,
        occurred_at=lodged_at,
        accepted_at=now,
    )
    state = rng.choice(
        (DetainerState.ACTIVE, DetainerState.LIFTED, DetainerState.WITHDRAWN, DetainerState.CUSTODY_ASSUMED)
    )
    if state is DetainerState.ACTIVE:
        return Wanted(human, first, first)
    return Wanted(human, first, msgspec.structs.replace(first, state=state, occurred_at=now, ended_at=now))


class _Life:
    """Writes one person's bookings: the second is at the jail to which they are transferred."""

    def __init__(
        self, rng: random.Random, population: Population, human: Human, agency: str, first_number: int
    ) -> None:
        self._rng, self._population, self._human, self._agency = rng, population, human, agency
        self._number = first_number
        self._bookings: list[Booking] = []
        self._at = datetime.min.replace(tzinfo=UTC)

    def lead(self, place: Place, at: datetime) -> list[Booking]:
        self._at = at
        self._book(place)
        return self._bookings

    def _say(self, booking: Booking, event_type: type[CustodyEvent], **fields: object) -> Arrival:
        self._at += timedelta(minutes=self._rng.randrange(1, 600))
        event = event_type(
            facility=booking.place.code,
            booking_number=booking.number,
            occurred_at=self._at,
            **fields,  # type: ignore[arg-type]
        )
        arrival = Arrival(f"{booking.number}-{len(booking.arrivals)}", event)
        booking.arrivals.append(arrival)
        return arrival

    def _book(self, place: Place) -> None:
        rng = self._rng
        booking = Booking(place, f"B{self._number}", self._human)
        self._number += 1
        self._bookings.append(booking)
        person = self._population.booked_at(self._human, place)
        booked = self._say(booking, Booked, person=person)
        steps = rng.choice((1, 2, 3, 3, 4, 5))
        for _ in range(steps):
            if not self._happen(booking, booked, rng.choices([*_NEXT], [*_NEXT.values()])[0]):
                break
        self._disorder(booking)

    def _happen(self, booking: Booking, booked: Arrival, what: str) -> bool:
        """One thing, and what follows from it at once; False: nothing comes after it."""
        rng = self._rng
        match what:
            case "schedule":
                to = rng.choice((None, None, None, self._agency))
                when = self._at + timedelta(hours=rng.randrange(12, 400))
                self._say(booking, ReleaseScheduled, scheduled_for=when, reason=rng.choice(_COMMUNITY), released_to=to)
            case "cancel":
                self._say(booking, ReleaseCancelled)
            case "release" | "to_agency":
                self._release(booking, self._agency if what == "to_agency" else None)
                return self._back(booking)
            case "inferred":
                self._say(booking, Released, inferred=True)
                return self._back(booking)
            case "transfer":
                place = rng.choice([place for place in PLACES if place != booking.place])
                self._say(booking, Transferred, to_facility=place.code)
                self._book(place)
                return False
            case "court":
                self._say(booking, HeldElsewhere, place=ElsewherePlace.COURT)
                self._say(booking, Returned)
            case "escape":
                self._say(booking, Escaped)
                self._say(booking, Returned)
            case "die":
                self._say(booking, Died)
                return False
            case "update":
                self._say(booking, Updated, charges=[Charge(description="HOLD FOR OTHER AGENCY")])
            case "void_booking":
                self._say(booking, Voided, voids_event=booked.event_id)
                return False
        return True

    def _release(self, booking: Booking, to: str | None) -> None:
        """A release; the jail may correct it, or take it back and mean another (rule 8)."""
        rng = self._rng
        told = self._say(booking, Released, reason=rng.choice(_COMMUNITY), released_to=to)
        if rng.random() < _CORRECTED:
            other = rng.choice([code for code in (None, self._agency) if code != to])
            assert isinstance(told.event, Released)
            corrected = msgspec.structs.replace(told.event, sequence=1, released_to=other)
            booking.arrivals.append(Arrival(told.event_id, corrected))
        if rng.random() < _CORRECTED:
            self._say(booking, Voided, voids_event=told.event_id)
            if rng.random() < 0.5:
                self._say(booking, Released, reason=ReleaseReason.UNKNOWN, released_to=to)

    def _back(self, booking: Booking) -> bool:
        if self._rng.random() < 0.3:
            self._say(booking, Returned)
            return True
        return False

    def _disorder(self, booking: Booking) -> None:
        """Some events come late, releases before bookings among them (rule 7), and some come twice."""
        rng, arrivals = self._rng, booking.arrivals
        for index in range(len(arrivals) - 1):
            # Whoever is at court while nobody has said yet that they are back: docs/lifecycle.md leaves that open.
            settled = isinstance(arrivals[index].event, Returned | Voided)
            if not settled and rng.random() < _LATE:
                arrivals[index], arrivals[index + 1] = arrivals[index + 1], arrivals[index]
        for index in range(len(arrivals) - 1, -1, -1):
            if rng.random() < _REPEATED:
                arrivals.insert(rng.randrange(index + 1, len(arrivals) + 1), arrivals[index])
