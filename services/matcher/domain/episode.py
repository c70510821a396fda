"""A custody episode: the facts that jails reported of one booking, and what they add up to.

An episode keeps its facts, not a running state. Its view is computed from the set of facts, so that the order in
which they came, and how often, cannot matter (G2):

- the newest fact by (occurred_at, sequence) wins, and a void takes back one named fact (rule 8);
- `booked` is the ground on which the others stand, whenever it comes (rule 7): it never undoes a release, since a
  new admission has a new booking number (rule 17);
- death ends everything (rule 6);
- an inferred release says nothing new of somebody who is known to have left (rule 10), and whoever is reported to be at
  court, in hospital or escaped after one had not left;
- a merge gives the person both identifiers, until it is taken back (rule 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

from msgspec import Struct

from contracts.ids import episode_id
from contracts.types.conflict import CustodyStatus, Release
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
from contracts.types.person import Person
from services.matcher.domain.facts import Fact, FactId, joined, replaces
from services.matcher.domain.persons import Merges, merged

__all__ = ["ROOM", "ROOM_WITH_RESERVE", "Episode", "EpisodeView", "Fact", "FactId"]

ROOM: Final = 1024 * 1024
ROOM_WITH_RESERVE: Final = ROOM + ROOM // 2
"""Bytes of facts that an episode keeps; and with what is taken to the last. It is one record of custody.state.v1, with
what was published of it, and a record that Kafka does not take stops its partition for ever."""
_TAKEN_TO_THE_LAST: Final = (Released, Transferred, Died, Returned, Voided)


class EpisodeView(Struct, frozen=True, gc=False):
    """What the facts add up to.

    known: a booking is known and stands. voided: it was taken back. person None: nobody is named yet.
    booked_at: the admission, by the earliest `booked`. scheduled: the release that is coming, while custody lasts.
    ended: how custody ended, if it did. Each with when the fact was accepted. ended_at: when it ended. elsewhere and
    escape are no end of custody (rule 6).
    """

    status: CustodyStatus
    person: Person | None
    booked_at: datetime | None
    voided: bool
    first_at: datetime
    scheduled: ReleaseScheduled | None
    ended: Released | Transferred | Died | None
    scheduled_accepted_at: datetime | None = None
    ended_accepted_at: datetime | None = None

    @property
    def ended_at(self) -> datetime | None:
        return self.ended.occurred_at if self.ended is not None else None

    def release(self, inferred_stands: bool = False) -> Release | None:
        """The end of custody, scheduled or come about, as a conflict tells it."""
        match self.ended:
            case Released() as r:
                return Release(
                    released_at=r.occurred_at,
                    reason=r.reason,
                    released_to=r.released_to,
                    inferred=r.inferred,
                    inferred_stands=inferred_stands,
                )
            case Transferred() as t:
                return Release(released_at=t.occurred_at, to_facility=t.to_facility)
            case Died() as d:
                return Release(released_at=d.occurred_at)
        if self.scheduled is not None:
            s = self.scheduled
            return Release(scheduled_for=s.scheduled_for, reason=s.reason, released_to=s.released_to)
        return None


class Episode:
    """The facts of one booking. `add` is the only way in."""

    __slots__ = ("_again", "_discarded", "_facts", "_size", "_view", "booking_number", "facility", "id")

    def __init__(self, facility: str, booking_number: str, known_id: str | None = None) -> None:
        self.facility = facility
        self.booking_number = booking_number
        self.id = known_id or episode_id(facility, booking_number)
        self._facts: dict[FactId, Fact] = {}
        self._discarded: frozenset[FactId] = frozenset()
        self._again: dict[FactId, Fact] = {}
        self._view: EpisodeView | None = None
        self._size: int | None = None

    @property
    def facts(self) -> list[Fact]:
        """Every fact kept, in the order in which they came."""
        return list(self._facts.values())

    @property
    def counted(self) -> dict[FactId, Fact]:
        """Every fact as it counts: one that was discarded, and accepted again since, as accepted then."""
        return {**self._facts, **self._again} if self._again else self._facts

    @property
    def heard_at(self) -> datetime:
        """When the newest of its facts was accepted, repeats left out."""
        return max(fact.heard_at for fact in self._facts.values())

    @property
    def size(self) -> int:
        """Bytes of its facts as they are kept."""
        if self._size is None:
            self._size = sum(fact.size for fact in self._facts.values())
        return self._size

    def has_room(self, fact: Fact) -> bool:
        """Whether the fact can be taken in, or is known anyway (docs/lifecycle.md, "Too large")."""
        known = self._facts.get(fact.id)
        if known is not None and not replaces(fact, known):
            return True
        room = ROOM_WITH_RESERVE if isinstance(fact.event, _TAKEN_TO_THE_LAST) else ROOM
        return self.size + _growth(fact, known) <= room

    def add(self, fact: Fact) -> bool:
        """Take a fact in; False if it says nothing new. One id with two contents: the newer one stays (rule 8); of one
        content that was accepted twice, the first time counts, and of a release the last one is kept too."""
        known = self._facts.get(fact.id)
        kept = fact if known is None else joined(known, fact)
        if kept is known:
            return False
        if self._size is not None:
            self._size += _growth(kept, known)
        self._facts[fact.id] = kept
        self._view = None
        return True

    def discard(self, wanted: Callable[[Fact], bool]) -> bool:
        """Leave out of account the facts that `wanted` names, and no others; True if that changes any (rule 19). One
        that it does not name as accepted again counts as accepted then."""
        named = [fact for fact in self._facts.values() if wanted(fact)]
        again = {fact.id: fact.again for fact in named if fact.again is not None and not wanted(fact.again)}
        discarded = frozenset(fact.id for fact in named if fact.id not in again)
        if (discarded, again) == (self._discarded, self._again):
            return False
        self._discarded, self._again, self._view = discarded, again, None
        return True

    def view_without(self, unwanted: AbstractSet[FactId]) -> EpisodeView:
        """What the facts add up to if these are left out too."""
        return _view(self.counted, self._discarded | unwanted)

    @property
    def view(self) -> EpisodeView:
        if self._view is None:
            self._view = _view(self.counted, self._discarded)
        return self._view


def _growth(fact: Fact, known: Fact | None) -> int:
    """How many bytes more are kept with `fact` in the place of `known`."""
    return fact.size - (known.size if known is not None else 0)


def _voided(facts: dict[FactId, Fact]) -> set[FactId]:
    """The facts that are taken back. Newer voids are looked at first, so that a void can itself be taken back."""
    voids = [fact for fact in facts.values() if isinstance(fact.event, Voided)]
    gone: set[FactId] = set()
    for fact in sorted(voids, key=lambda f: f.order, reverse=True):
        if fact.id not in gone and isinstance(fact.event, Voided):
            gone.add((fact.event.voids_source or fact.source, fact.event.voids_event))
    return gone


_NOT_TO_THE_COMMUNITY: Final[Mapping[ReleaseReason, CustodyStatus]] = {
    ReleaseReason.COURT: CustodyStatus.HELD_ELSEWHERE,
    ReleaseReason.HOSPITAL: CustodyStatus.HELD_ELSEWHERE,
    ReleaseReason.TEMPORARY_ABSENCE: CustodyStatus.HELD_ELSEWHERE,
    ReleaseReason.TRANSFER: CustodyStatus.TRANSFERRED,
    ReleaseReason.ESCAPE: CustodyStatus.ESCAPED,
    ReleaseReason.DEATH: CustodyStatus.DIED,
}
"""Some jails report every departure as a release; its reason says what it was (rule 6)."""

_ENDED: Final = frozenset(
    {CustodyStatus.RELEASED, CustodyStatus.INFERRED_RELEASE, CustodyStatus.TRANSFERRED, CustodyStatus.DIED}
)


def _status_after(event: CustodyEvent) -> CustodyStatus | None:
    """The custody status that an event brings about; None where it says nothing of it."""
    match event:
        case Released():
            plain = CustodyStatus.INFERRED_RELEASE if event.inferred else CustodyStatus.RELEASED
            return _NOT_TO_THE_COMMUNITY.get(event.reason, plain)
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
        case _:
            return None


def _of_custody(facts: list[Fact]) -> list[Fact]:
    """Those that tell of custody: a void tells of another fact."""
    return [fact for fact in facts if not isinstance(fact.event, Voided)]


def _view(facts: dict[FactId, Fact], discarded: frozenset[FactId]) -> EpisodeView:
    gone = _voided(facts) if len(facts) > 1 else set()
    standing = [fact for fact in facts.values() if fact.id not in gone and fact.id not in discarded]
    if len(standing) > 1:
        standing.sort(key=lambda f: f.order)
    status = CustodyStatus.IN_CUSTODY
    ended: Released | Transferred | Died | None = None
    scheduled: ReleaseScheduled | None = None
    scheduled_accepted_at = ended_accepted_at = None
    person: Person | None = None
    merges = Merges()
    booked_at: datetime | None = None
    for fact in standing:
        event = fact.event
        match event:
            case Booked():
                booked_at = booked_at or event.occurred_at  # a clerk's repeat is no second admission
                person = merged(person, event.person)
            case Updated():
                person = merged(person, event.person) if event.person is not None else person
            case ReleaseScheduled():
                scheduled = None if event.reason in _NOT_TO_THE_COMMUNITY else event
                scheduled_accepted_at = fact.accepted_at
            case ReleaseCancelled():
                scheduled = None
            case Merged() | Unmerged():
                merges.say(event.absorbed, event.surviving, isinstance(event, Merged))
        after = _status_after(event)
        if after is None or status is CustodyStatus.DIED:
            continue
        left = ended is not None and not (isinstance(ended, Released) and ended.inferred)
        if isinstance(event, Released) and event.inferred and (ended is not None or status is CustodyStatus.ESCAPED):
            continue
        if left and after in (CustodyStatus.HELD_ELSEWHERE, CustodyStatus.ESCAPED):
            continue  # only somebody who has not left can be elsewhere, or escape, whichever way it is reported
        status = after
        ended = event if after in _ENDED and isinstance(event, Released | Transferred | Died) else None
        ended_accepted_at = fact.accepted_at
        if ended is not None and not (isinstance(ended, Released) and ended.inferred):
            scheduled = None  # it came about: whoever is brought back is not due for release any more
    return EpisodeView(
        status=status,
        person=merges.linked(person),
        booked_at=booked_at,
        voided=booked_at is None and any(isinstance(facts[i].event, Booked) for i in gone if i in facts),
        first_at=min(f.event.occurred_at for f in _of_custody(standing) or facts.values()),
        scheduled=scheduled if ended is None else None,
        ended=ended,
        scheduled_accepted_at=scheduled_accepted_at if ended is None else None,
        ended_accepted_at=ended_accepted_at if ended is not None else None,
    )
