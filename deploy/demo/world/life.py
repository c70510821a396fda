"""One life: a person, their bookings and the detainers on them, told as calls that write what is sent and when.

A plot (plots.py) calls these in the order of the story and then says, with `expect`, where each (detainer, booking)
pair must end. What it says is the truth that the system is measured by.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from contracts.types.common import Tier
from contracts.types.conflict import CustodyStatus, RetractionReason, Stage
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
from contracts.types.detainer import Amend, CustodyAssumed, DetainerCommand, Intent, Lift, Lodge, Withdraw
from contracts.types.person import Person
from deploy.demo.world.people import Claim, Human, Link, Population
from deploy.demo.world.places import Office, Place
from deploy.demo.world.script import Booking, Expected, Lodged, Post

__all__ = ["Life"]


class Life:
    """Writes posts. `now` moves forward with `wait`; every call happens then, and is reported some minutes later."""

    def __init__(
        self,
        index: int,
        prefix: str,
        rng: random.Random,
        population: Population,
        human: Human,
        place: Place,
        start: datetime,
    ) -> None:
        self.index = index
        self.rng = rng
        self.population = population
        self.human = human
        self.place = place
        self.now = start
        self.plot = ""
        self.posts: list[Post] = []
        self.expected: list[Expected] = []
        self.lodged: list[Lodged] = []
        self._prefix = prefix
        self._count = 0

    def wait(self, *, days: float = 0.0, hours: float = 0.0) -> None:
        """Let time pass: so much, give or take a fifth."""
        self.now += timedelta(days=days, hours=hours) * self.rng.uniform(0.8, 1.2)

    # What jails say. Each call returns the id of its event, for a void to name.

    def book(self, place: Place | None = None, *, claim: Claim = Claim.TRUTH, numbers: bool = True) -> Booking:
        self.place = place or self.place
        booking = Booking(self.place, f"{self._prefix}B{self.index:05d}-{self._next():02d}")
        self.book_again(booking, claim=claim, numbers=numbers)
        return booking

    def book_again(self, booking: Booking, *, claim: Claim = Claim.TRUTH, numbers: bool = True) -> str:
        """The admission itself, or the admission once more after it was voided."""
        person = self.population.booked_at(self.human, booking.place, claim=claim, numbers=numbers)
        charges = [Charge(code=f"{self.rng.randrange(100, 999)}.{self.rng.randrange(10, 99)}")]
        return self._say(booking, Booked(person=person, charges=charges, **self._at(booking)))

    def last_event(self) -> str:
        """Id of the newest event of a jail."""
        return next(p.event_id for p in reversed(self.posts) if p.event_id is not None)

    def update(self, booking: Booking, person: Person | None = None) -> str:
        charge = Charge(description=self.rng.choice(("Failure to appear", "Larceny 6", "HOLD FOR OTHER AGENCY")))
        return self._say(booking, Updated(person=person, charges=[charge], **self._at(booking)))

    def schedule(self, booking: Booking, *, days: float = 2.0, to: Office | None = None) -> str:
        reason = ReleaseReason.TO_AGENCY if to else self._reason()
        return self._say(
            booking,
            ReleaseScheduled(
                scheduled_for=self._local(booking, self.now + timedelta(days=days)),
                reason=reason,
                released_to=to.code if to else None,
                **self._at(booking),
            ),
        )

    def cancel(self, booking: Booking) -> str:
        return self._say(booking, ReleaseCancelled(**self._at(booking)))

    def release(
        self,
        booking: Booking,
        *,
        to: Office | None = None,
        reason: ReleaseReason | None = None,
        inferred: bool = False,
        sequence: int = 0,
        at: datetime | None = None,
    ) -> str:
        """at, sequence: of a correction, the instant of the fact that it corrects, and a higher sequence (rule 8)."""
        reason = reason or (ReleaseReason.TO_AGENCY if to else self._reason())
        return self._say(
            booking,
            Released(
                reason=reason,
                released_to=to.code if to else None,
                inferred=inferred,
                **self._at(booking, at, sequence),
            ),
        )

    def transfer(self, booking: Booking, to: Place) -> str:
        return self._say(booking, Transferred(to_facility=to.code, **self._at(booking)))

    def away(self, booking: Booking) -> str:
        place = self.rng.choice((ElsewherePlace.COURT, ElsewherePlace.HOSPITAL, ElsewherePlace.TEMPORARY_ABSENCE))
        return self._say(booking, HeldElsewhere(place=place, **self._at(booking)))

    def back(self, booking: Booking) -> str:
        return self._say(booking, Returned(**self._at(booking)))

    def escape(self, booking: Booking) -> str:
        return self._say(booking, Escaped(**self._at(booking)))

    def die(self, booking: Booking) -> str:
        return self._say(booking, Died(**self._at(booking)))

    def void(self, booking: Booking, event: str) -> str:
        named = booking.place.source if self.rng.random() < 0.5 else None  # naming the source is optional
        return self._say(booking, Voided(voids_event=event, voids_source=named, **self._at(booking)))

    # What agencies do.

    def lodge(self, office: Office, link: Link, *, before: timedelta = timedelta()) -> Lodged:
        """Lodge a detainer now, or so long ago as `before` says (then it is there before the stream begins)."""
        lodged = Lodged(office, f"{self._prefix}D{self.index:05d}-{self._next():02d}", link, self.place.operator)
        person = self.population.wanted(self.human, link, self.place)
        type_ = self.rng.choice(office.types)
        intent = self.rng.choice((Intent.HOLD, Intent.HOLD, Intent.NOTIFY_ONLY))
        at = self.now - before
        command = Lodge(
            agency=office.code,
            agency_reference=lodged.reference,
            occurred_at=at,
            type=type_,
            intent=intent,
            person=person,
        )
        self._command(office, command, at)
        self.lodged.append(lodged)
        return lodged

    def amend(self, lodged: Lodged, link: Link, human: Human | None = None) -> Lodged:
        """The agency has learned more of the person, or that it meant another one; the detainer as it is from now."""
        command = Amend(
            agency=lodged.office.code,
            agency_reference=lodged.reference,
            occurred_at=self.now,
            type=lodged.office.types[0],
            intent=Intent.HOLD,
            person=self.population.wanted(human or self.human, link, self.place),
        )
        self._command(lodged.office, command, self.now)
        return replace(lodged, link=link)

    def lift(self, lodged: Lodged) -> None:
        self._command(
            lodged.office, Lift(agency=lodged.office.code, agency_reference=lodged.reference, occurred_at=self.now)
        )

    def withdraw(self, lodged: Lodged) -> None:
        self._command(
            lodged.office, Withdraw(agency=lodged.office.code, agency_reference=lodged.reference, occurred_at=self.now)
        )

    def assume(self, lodged: Lodged) -> None:
        self._command(
            lodged.office,
            CustodyAssumed(agency=lodged.office.code, agency_reference=lodged.reference, occurred_at=self.now),
        )

    # What must come of it.

    def expect(
        self,
        lodged: Lodged,
        booking: Booking,
        stage: Stage | None,
        *,
        closed_because: str | None = None,
        retraction: RetractionReason | None = None,
        status: CustodyStatus | None = None,
        tier: Tier | None = None,
        time_to_custody_s: float | None = None,
    ) -> None:
        """The pair must end in `stage`. tier: where it is another than what the detainer knows would give."""
        self.expected.append(
            Expected(
                plot=self.plot,
                agency=lodged.office.code,
                detainer_id=lodged.detainer_id,
                episode_id=booking.episode_id,
                tier=tier or lodged.tier(booking),
                stage=stage,
                closed_because=closed_because,
                retraction=retraction,
                status=status,
                time_to_custody_s=time_to_custody_s,
            )
        )

    def _reason(self) -> ReleaseReason:
        return self.rng.choice(
            (
                ReleaseReason.BOND,
                ReleaseReason.OWN_RECOGNIZANCE,
                ReleaseReason.CASE_DISMISSED,
                ReleaseReason.EXPIRATION_OF_SENTENCE,
                ReleaseReason.PROBATION,
            )
        )

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _local(self, booking: Booking, instant: datetime) -> datetime:
        return instant.astimezone(ZoneInfo(booking.place.time_zone)).replace(microsecond=0)

    def _at(self, booking: Booking, at: datetime | None = None, sequence: int = 0) -> dict[str, Any]:
        return {
            "facility": booking.place.code,
            "booking_number": booking.number,
            "occurred_at": self._local(booking, at or self.now),
            "sequence": sequence,
        }

    def _say(self, booking: Booking, event: CustodyEvent) -> str:
        event_id = f"{self._prefix}e{self.index:05d}.{self._next():03d}"
        self.posts.append(Post(self._reported(self.now), self.index, booking.place.source, event, event_id))
        return event_id

    def _command(self, office: Office, command: DetainerCommand, at: datetime | None = None) -> None:
        self.posts.append(Post(self._reported(at or self.now), self.index, office.source, command))

    def _reported(self, at: datetime) -> datetime:
        return at + timedelta(minutes=self.rng.uniform(0.5, 10))
