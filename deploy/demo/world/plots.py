"""The plots: what may become of somebody on whom a detainer is lodged, and of strangers.

Each plot writes one life and says, by the rules of DOMAIN.md and not by asking the matcher, where every pair of
detainer and booking must end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.types.conflict import CustodyStatus, RetractionReason, Stage
from contracts.types.custody import ReleaseReason
from deploy.demo.world.life import Life
from deploy.demo.world.openings import LINKS, begin, elsewhere, wanted
from deploy.demo.world.places import Office
from deploy.demo.world.plots_identity import (
    claims_citizenship,
    contradicted,
    day_and_month_exchanged,
    false_name,
    fingerprinted_later,
    identified,
    misspelt,
    misspelt_with_number,
    mistaken,
    name_only,
    namesake,
    never_fingerprinted,
    nicknamed,
    question_withdrawn,
    sex_mistyped,
    somebody_else,
)
from deploy.demo.world.plots_order import (
    closed_stays_closed,
    corrected_to_release,
    escaped_and_caught,
    fetched_unreported,
    lodged_after_death,
    lodged_after_hand_over,
    lodged_after_transfer,
)

__all__ = ["PLOTS", "Plot", "stranger"]

Plot = Callable[[Life, Sequence[Office]], None]
"""Writes a life. The offices are at least two that differ."""


def in_custody(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.update(booking)
    life.expect(lodged, booking, Stage.IN_CUSTODY)


def scheduled(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.schedule(booking)
    life.expect(lodged, booking, Stage.RELEASE_SCHEDULED)


def released(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.schedule(booking)
    life.wait(days=2)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def released_unannounced(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def handed_over(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.schedule(booking, to=offices[0])
    life.wait(days=2)
    life.release(booking, to=offices[0])
    life.expect(lodged, booking, Stage.CLOSED, closed_because="handed_over")


def handed_to_another(life: Life, offices: Sequence[Office]) -> None:
    """Two detainers on one person are judged one by one (rule 12)."""
    first, second = wanted(life, offices[0]), wanted(life, offices[1])
    booking = life.book()
    life.wait(hours=20)
    life.release(booking, to=offices[0])
    life.expect(first, booking, Stage.CLOSED, closed_because="handed_over")
    life.expect(second, booking, Stage.RELEASED)


def cancelled(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.schedule(booking)
    life.wait(hours=8)
    life.cancel(booking)
    life.expect(lodged, booking, Stage.IN_CUSTODY)


def cancelled_then_released(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.schedule(booking)
    life.wait(hours=8)
    life.cancel(booking)
    life.wait(days=3)
    life.schedule(booking, days=5)
    life.wait(days=5)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def corrected(life: Life, offices: Sequence[Office]) -> None:
    """The jail first said "bond", then that the agency had taken the person: a new version of one fact (rule 8)."""
    lodged, booking = begin(life, offices[0])
    at = life.now
    life.release(booking, reason=ReleaseReason.BOND)
    life.wait(hours=5)
    life.release(booking, to=offices[0], at=at, sequence=1)
    life.expect(lodged, booking, Stage.CLOSED, closed_because="handed_over")


def release_voided(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    event = life.release(booking)
    life.wait(hours=3)
    life.void(booking, event)
    life.expect(lodged, booking, Stage.IN_CUSTODY)


def void_voided(life: Life, offices: Sequence[Office]) -> None:
    """The release stands after all."""
    lodged, booking = begin(life, offices[0])
    event = life.release(booking)
    life.wait(hours=3)
    void = life.void(booking, event)
    life.wait(hours=3)
    life.void(booking, void)
    life.expect(lodged, booking, Stage.RELEASED)


def booking_voided(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.void(booking, life.last_event())
    life.expect(lodged, booking, Stage.RETRACTED, retraction=RetractionReason.BOOKING_VOIDED)


def court_trip(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.away(booking)
    life.wait(hours=7)
    life.back(booking)
    life.wait(days=4)
    # Some jails report a trip as a release; its reason says what it was (rule 6).
    life.release(booking, reason=life.rng.choice((ReleaseReason.COURT, ReleaseReason.HOSPITAL)))
    life.expect(lodged, booking, Stage.IN_CUSTODY)


def transferred(life: Life, offices: Sequence[Office]) -> None:
    """The detainer follows to the other facility, which books the person anew (rule 5)."""
    lodged, booking = begin(life, offices[0])
    there = elsewhere(life)
    life.transfer(booking, there)
    life.expect(lodged, booking, Stage.TRANSFERRED)
    life.wait(hours=6)
    again = life.book(there)
    life.wait(days=6)
    life.release(again)
    life.expect(lodged, again, Stage.RELEASED)


def died(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.die(booking)
    life.wait(hours=9)
    if life.rng.random() < 0.5:
        life.release(booking)  # a clerk closes the record
    life.expect(lodged, booking, Stage.CLOSED, closed_because="died")


def escaped(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.escape(booking)
    life.expect(lodged, booking, Stage.IN_CUSTODY, status=CustodyStatus.ESCAPED)


def late_detainer(life: Life, offices: Sequence[Office]) -> None:
    """Lodged after the release was scheduled (rule 11)."""
    booking = life.book()
    life.wait(hours=12)
    life.schedule(booking)
    life.wait(hours=12)
    lodged = life.lodge(offices[0], life.rng.choice(LINKS))
    life.wait(days=1.5)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def after_the_release(life: Life, offices: Sequence[Office]) -> None:
    """Lodged when the person was out already, within the look-back (rule 11)."""
    booking = life.book()
    life.wait(days=2)
    life.release(booking)
    life.wait(days=6)
    lodged = life.lodge(offices[0], life.rng.choice(LINKS))
    life.expect(lodged, booking, Stage.RELEASED_BEFORE_DETAINER)


def long_after_the_release(life: Life, offices: Sequence[Office]) -> None:
    booking = life.book()
    life.wait(hours=30)
    life.release(booking)
    life.wait(days=45)
    lodged = life.lodge(offices[0], life.rng.choice(LINKS))
    life.expect(lodged, booking, None)


def lifted(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.lift(lodged)
    life.expect(lodged, booking, Stage.RETRACTED, retraction=RetractionReason.DETAINER_LIFTED)


def lifted_after_release(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.release(booking)
    life.wait(days=3)
    life.lift(lodged)
    life.expect(lodged, booking, Stage.RETRACTED, retraction=RetractionReason.DETAINER_LIFTED)


def withdrawn(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    life.schedule(booking)
    life.wait(hours=10)
    life.withdraw(lodged)
    life.expect(lodged, booking, Stage.RETRACTED, retraction=RetractionReason.DETAINER_WITHDRAWN)


def custody_assumed(life: Life, offices: Sequence[Office]) -> None:
    """The agency finds the person after the release; a later booking is no business of the detainer (rule 17)."""
    lodged, booking = begin(life, offices[0])
    out = life.now
    life.release(booking)
    life.wait(days=8)
    life.assume(lodged)
    reported_out = out.replace(microsecond=0)  # jails report whole seconds
    life.expect(
        lodged,
        booking,
        Stage.CLOSED,
        closed_because="custody_assumed",
        time_to_custody_s=(life.now - reported_out).total_seconds(),
    )
    life.wait(days=12)
    again = life.book(elsewhere(life))
    life.expect(lodged, again, None)


def booked_again(life: Life, offices: Sequence[Office]) -> None:
    """A new booking is a new episode, and the detainer is still open (rule 17)."""
    lodged, booking = begin(life, offices[0])
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)
    life.wait(days=14)
    again = life.book()
    life.expect(lodged, again, Stage.IN_CUSTODY)


def inferred(life: Life, offices: Sequence[Office]) -> None:
    """Missing from a roster: told as what it is (rule 10)."""
    lodged, booking = begin(life, offices[0])
    life.release(booking, inferred=True, reason=ReleaseReason.UNKNOWN)
    life.expect(lodged, booking, Stage.RELEASED, status=CustodyStatus.INFERRED_RELEASE)


def inferred_wrongly(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0])
    event = life.release(booking, inferred=True, reason=ReleaseReason.UNKNOWN)
    life.wait(days=1)
    life.void(booking, event)
    life.expect(lodged, booking, Stage.IN_CUSTODY)


PLOTS: tuple[Plot, ...] = (
    released,
    in_custody,
    scheduled,
    handed_over,
    cancelled,
    released_unannounced,
    corrected,
    late_detainer,
    after_the_release,
    handed_to_another,
    transferred,
    lifted,
    custody_assumed,
    release_voided,
    booking_voided,
    court_trip,
    died,
    escaped,
    booked_again,
    name_only,
    namesake,
    misspelt_with_number,
    misspelt,
    nicknamed,
    day_and_month_exchanged,
    identified,
    fingerprinted_later,
    mistaken,
    cancelled_then_released,
    lifted_after_release,
    withdrawn,
    inferred,
    inferred_wrongly,
    void_voided,
    contradicted,
    sex_mistyped,
    false_name,
    somebody_else,
    claims_citizenship,
    never_fingerprinted,
    question_withdrawn,
    long_after_the_release,
    corrected_to_release,
    closed_stays_closed,
    fetched_unreported,
    lodged_after_hand_over,
    lodged_after_transfer,
    lodged_after_death,
    escaped_and_caught,
)


def stranger(life: Life) -> None:
    """Somebody on whom no detainer is lodged: the same happens to them, and nobody is told."""
    booking = life.book(numbers=life.rng.random() < 0.9)
    life.wait(hours=6)
    roll = life.rng.random()
    if roll < 0.3:
        life.update(booking)
        life.wait(hours=12)
    if roll > 0.8:
        life.away(booking)
        life.wait(hours=8)
        life.back(booking)
        life.wait(hours=8)
    if life.rng.random() < 0.7:
        life.schedule(booking)
        life.wait(days=2)
    if life.rng.random() < 0.85:
        life.release(booking)
