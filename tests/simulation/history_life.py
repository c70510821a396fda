"""The life of one booking, as its jail tells it: what happened, and then what the jail corrected and took back."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import msgspec

from contracts.types.custody import (
    Booked,
    Charge,
    CustodyEvent,
    Died,
    ElsewherePlace,
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
from tests.simulation.history_people import Being, Form

__all__ = ["Draft", "Life"]

_FREED = (
    ReleaseReason.BOND,
    ReleaseReason.OWN_RECOGNIZANCE,
    ReleaseReason.CASE_DISMISSED,
    ReleaseReason.EXPIRATION_OF_SENTENCE,
    ReleaseReason.UNKNOWN,
)
_TRIPS = (ReleaseReason.COURT, ReleaseReason.HOSPITAL, ReleaseReason.TEMPORARY_ABSENCE, ReleaseReason.TRANSFER)
_IN = {
    "scheduled": 6, "cancelled": 2, "released": 3, "handed_over": 2.5, "inferred": 2, "transferred": 1,
    "elsewhere": 1.5, "trip": 0.7, "escaped": 1.5, "died": 0.5, "updated": 3, "merged": 2, "returned": 1,
    "booked_again": 0.3,
}  # fmt: skip
_OUT = {
    "returned": 4, "released": 1, "inferred": 1, "scheduled": 0.5, "updated": 1, "died": 0.4, "elsewhere": 0.3,
    "over": 6,
}  # fmt: skip
"""What happens next, with its weight: to somebody in custody, and to somebody who is not."""
_CHARGES = [Charge(description="AS CHARGED, AND AS CHARGED BEFORE ".ljust(200, "."))] * 20
_MAX_PERSONAL = 6
"""Facts about who it is, at most: the truth looks at every selection of them (ever_notifiable)."""


@dataclass(frozen=True)
class Draft:
    """A custody event to be sent. note: what it is, in words, where the event alone does not say."""

    source: str
    event_id: str
    event: CustodyEvent
    note: str = ""


class Life:
    """Draws the facts of one booking. Hours are counted from `start`, which is when everything begins to be sent; so
    what has happened has a negative hour. `drafts` are in the order in which things happened."""

    def __init__(
        self, rng: random.Random, start: datetime, facility: str, source: str, booking: str, being: Being,
        agencies: list[str],
    ) -> None:  # fmt: skip
        self._rng = rng
        self.start = start
        self.facility = facility
        self._source = source
        self.booking = booking
        self.being = being
        self._agencies = agencies
        self._hour = 0.0
        self._sequence = 0
        self._out = False
        self._personal = 0
        self.drafts: list[Draft] = []
        self.ends: list[float] = []
        self.form = Form.SID
        """What the booking says of the person."""

    def instant(self, hour: float) -> datetime:
        """An hour as an instant, to the minute, in UTC or with the offset of the east coast in winter."""
        at = self.start + timedelta(minutes=round(hour * 60))
        return at.astimezone(self._rng.choice((UTC, UTC, timezone(timedelta(hours=-5)))))

    def live(self, begins: float, steps: int, form: Form) -> None:
        """From the booking on, `steps` more things that happen, corrections not counted."""
        rng, self._hour, self.form = self._rng, begins, form
        self._say(Booked, person=self.being.as_recorded(form))
        for _ in range(steps):
            if rng.random() < 0.08:  # two things at one instant: the sequence tells them apart (rule 8)
                self._sequence += 1
            else:
                self._hour, self._sequence = self._hour + rng.uniform(0.2, 90), 0
            if self._hour >= 0:
                break
            weights = _OUT if self._out else _IN
            kind = rng.choices([*weights], [*weights.values()])[0]
            if kind == "over":
                break
            self._happen(kind)

    def release(self, hour: float) -> None:
        """Plainly released: one of a mass."""
        self._hour, self._sequence = hour, 0
        self._say(Released, reason=ReleaseReason.UNKNOWN)
        self.ends.append(hour)

    def _happen(self, kind: str) -> None:
        rng = self._rng
        match kind:
            case "scheduled":
                trip = rng.random() < 0.15
                self._say(
                    ReleaseScheduled,
                    scheduled_for=self.instant(self._hour + rng.uniform(3, 150)),
                    reason=rng.choice(_TRIPS if trip else _FREED),
                    released_to=rng.choice(self._agencies) if rng.random() < 0.25 else None,
                )
            case "cancelled":
                self._say(ReleaseCancelled)
            case "released":
                self._end(Released, reason=rng.choice(_FREED))
            case "handed_over":
                self._end(Released, reason=ReleaseReason.TO_AGENCY, released_to=rng.choice(self._agencies))
            case "inferred":
                self._end(Released, inferred=True)
            case "transferred":
                if rng.random() < 0.3:
                    self._end(Released, reason=ReleaseReason.TRANSFER)
                else:
                    elsewhere = "MASUFFK00" if self.facility != "MASUFFK00" else "OHFRANK00"
                    self._end(Transferred, to_facility=elsewhere)
            case "elsewhere":
                self._say(HeldElsewhere, place=rng.choice([*ElsewherePlace]))
            case "trip":
                self._say(Released, reason=rng.choice(_TRIPS[:3]))
            case "escaped":
                if rng.random() < 0.3:
                    self._say(Released, reason=ReleaseReason.ESCAPE)
                else:
                    self._say(Escaped)
            case "died":
                self._end(Died)
            case "returned":
                self._say(Returned)
                self._out = False
            case "booked_again":
                self._identify(Booked, self.form, False)
            case "updated":
                form = rng.choice((*[Form.SID] * 3, Form.FULL, Form.FULL, Form.OTHER_SID, Form.BARE))
                self._identify(Updated, form, rng.random() < 0.12)
            case "merged":
                self._link(rng.choice((Merged, Merged, Unmerged)))

    def _end(self, kind: type[CustodyEvent], **fields: object) -> None:
        self._say(kind, **fields)
        self._out = True
        self.ends.append(self._hour)

    def _identify(self, kind: type[Booked] | type[Updated], form: Form, claims: bool) -> None:
        if self._personal < _MAX_PERSONAL:
            self._personal += 1
            self._say(kind, person=self.being.as_recorded(form, claims))

    def _link(self, kind: type[Merged] | type[Unmerged]) -> None:
        if self._personal < _MAX_PERSONAL:
            self._personal += 1
            numbers = [self.being.identifier(Form.OTHER_SID), self.being.identifier(Form.SID)]
            self._rng.shuffle(numbers)
            self._say(kind, absorbed=numbers[0], surviving=numbers[1])
            if kind is Merged and self._rng.random() < 0.3:
                self._hour += 1
                self._link(Unmerged)

    def _say(self, kind: type[CustodyEvent], **fields: object) -> None:
        event = kind(
            facility=self.facility,
            booking_number=self.booking,
            occurred_at=self.instant(self._hour),
            sequence=self._sequence,
            **fields,  # type: ignore[arg-type]
        )
        self.drafts.append(Draft(self._source, f"{self.booking}-{len(self.drafts) + 1}", event))

    def clutter(self) -> None:
        """The same charges again and again, each time as a new event: mostly more than an episode has room for."""
        for _ in range(self._rng.randint(2, 10)):
            self._hour, self._sequence = -self._rng.uniform(0, 30), 0
            self._say(Updated, charges=_CHARGES)

    def correct(self) -> None:
        """The same event id with newer content (rule 8)."""
        rng = self._rng
        draft = rng.choice(self.drafts)
        event = draft.event
        changes: dict[str, object] = {}
        if isinstance(event, Booked | Updated):
            if self._personal >= _MAX_PERSONAL:
                return
            self._personal += 1
            changes = {"person": self.being.as_recorded(rng.choice((Form.SID, Form.OTHER_SID, Form.BARE)))}
        elif isinstance(event, ReleaseScheduled):
            changes = {"scheduled_for": event.scheduled_for + timedelta(minutes=rng.randrange(-1000, 4000))}
        elif isinstance(event, Released) and not event.inferred:
            changes = {"reason": rng.choice(_FREED), "released_to": None}
        when: dict[str, object] = {"sequence": event.sequence + 1}
        later = event.occurred_at + timedelta(minutes=rng.randrange(1, 600))
        if rng.random() < 0.5 and later < self.start:
            when = {"occurred_at": later}
        newer = msgspec.structs.replace(event, **changes, **when)
        self.drafts.append(Draft(draft.source, draft.event_id, newer, "the same id, corrected"))

    def take_back(self, other_source: str) -> None:
        """A void of something; and of that void, and so on."""
        rng = self._rng
        bookings = [d for d in self.drafts if isinstance(d.event, Booked)]
        target = rng.choice(bookings if rng.random() < 0.1 else self.drafts)
        note = f"takes back {_name(target)}"
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            later = min(target.event.occurred_at + timedelta(minutes=rng.randrange(1, 900)), self.start)
            source = rng.choice((self._source, self._source, other_source))
            void = Voided(
                facility=self.facility,
                booking_number=self.booking,
                occurred_at=later,
                # Never at one instant with the same sequence: then ids alone would say which void is newer.
                sequence=target.event.sequence + 1,
                voids_event=target.event_id,
                voids_source=None if source == target.source else target.source,
            )
            target = Draft(source, f"{self.booking}-{len(self.drafts) + 1}", void, note)
            self.drafts.append(target)
            note = f"takes back {_name(target)}"


def _name(draft: Draft) -> str:
    return f"{draft.event.__struct_config__.tag} {draft.event_id}"
