"""Plots that turn on what came first: the end of custody, or the detainer and its own end. As in plots.py."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.types.conflict import CustodyStatus, Stage
from contracts.types.custody import ReleaseReason
from deploy.demo.world.life import Life
from deploy.demo.world.openings import LINKS, begin, elsewhere
from deploy.demo.world.people import Link
from deploy.demo.world.places import Office

__all__ = [
    "closed_stays_closed",
    "corrected_to_release",
    "escaped_and_caught",
    "fetched_unreported",
    "lodged_after_death",
    "lodged_after_hand_over",
    "lodged_after_transfer",
]


def corrected_to_release(life: Life, offices: Sequence[Office]) -> None:
    """Reported as handed over; in truth the person walked out (rule 8)."""
    lodged, booking = begin(life, offices[0])
    at = life.now
    life.release(booking, to=offices[0])
    life.wait(hours=5)
    life.release(booking, reason=ReleaseReason.OWN_RECOGNIZANCE, at=at, sequence=1)
    life.expect(lodged, booking, Stage.RELEASED)


def closed_stays_closed(life: Life, offices: Sequence[Office]) -> None:
    """A lift after the hand-over takes nothing back, and a later booking is no business of it (rule 17)."""
    lodged, booking = begin(life, offices[0])
    life.release(booking, to=offices[0])
    life.wait(days=2)
    life.lift(lodged)
    life.wait(days=9)
    again = life.book()
    life.expect(lodged, booking, Stage.CLOSED, closed_because="handed_over")
    life.expect(lodged, again, None)


def fetched_unreported(life: Life, offices: Sequence[Office]) -> None:
    """The agency has the person out of the second jail, and no jail says so: what is open of it closes, at both."""
    lodged, booking = begin(life, offices[0], Link.UCN)
    there = elsewhere(life)
    life.transfer(booking, there)
    life.wait(hours=6)
    again = life.book(there)
    life.wait(days=3)
    life.assume(lodged)
    life.expect(lodged, booking, Stage.CLOSED, closed_because="custody_assumed")
    life.expect(lodged, again, Stage.CLOSED, closed_because="custody_assumed")


def lodged_after_hand_over(life: Life, offices: Sequence[Office]) -> None:
    """For the record: the agency has the person already. Another agency, as late, is told."""
    booking = life.book()
    life.wait(days=2)
    life.release(booking, to=offices[0])
    life.wait(days=1)
    has_already = life.lodge(offices[0], life.rng.choice(LINKS))
    late = life.lodge(offices[1], life.rng.choice(LINKS))
    life.expect(has_already, booking, None)
    life.expect(late, booking, Stage.RELEASED_BEFORE_DETAINER)


def lodged_after_death(life: Life, offices: Sequence[Office]) -> None:
    booking = life.book()
    life.wait(days=2)
    life.die(booking)
    life.wait(days=3)
    lodged = life.lodge(offices[0], life.rng.choice(LINKS))
    life.expect(lodged, booking, None)


def lodged_after_transfer(life: Life, offices: Sequence[Office]) -> None:
    """Nothing of the jail that the person had left; the other one has them (rule 5)."""
    booking = life.book()
    life.wait(days=1)
    there = elsewhere(life)
    life.transfer(booking, there)
    life.wait(hours=6)
    again = life.book(there)
    life.wait(days=1)
    lodged = life.lodge(offices[0], life.rng.choice(LINKS))
    life.expect(lodged, booking, None)
    life.expect(lodged, again, Stage.IN_CUSTODY)


def escaped_and_caught(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.escape(booking)
    life.wait(days=1)
    life.back(booking)
    life.expect(lodged, booking, Stage.IN_CUSTODY, status=CustodyStatus.IN_CUSTODY)
