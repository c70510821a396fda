"""What may happen to a wanted person, one function a plot, each with where it must end.

The ends follow DOMAIN.md's rules, which the docstrings name. What they left open, and is taken to hold here:

- an escape is no release to the community: the conflict stays in custody, with the status escaped (rule 6);
- a release that is scheduled to go to the lodging agency is no conflict yet: in custody;
- a lift or withdrawal takes back what stands, also after the release; what is closed stays closed;
- custody assumed closes whatever of the detainer is not closed, at every booking of its time (rule 17);
- a person who had left for another facility, died, or gone to the lodging agency before the detainer was lodged is
  not told of; the booking at the other facility is;
- a detainer lodged later than the look-back after the release is not told of it (rule 11).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from contracts.types.common import Tier
from contracts.types.conflict import CustodyStatus, RetractionReason, Stage
from contracts.types.custody import ReleaseReason
from deploy.demo.world.life import Life, Lodged
from deploy.demo.world.people import Link
from deploy.demo.world.places import AGENCIES, PLACES, Office, Place

__all__ = ["LOOK_BACK", "PLOTS", "Plot", "stranger"]

LOOK_BACK: Final = timedelta(days=30)
"""SALLYPORT_LOOK_BACK_DAYS as the demo sets it."""

Plot = Callable[[Life], None]
_ICE: Final = tuple(a for a in AGENCIES if a.code.startswith("ICE"))
_LINKS: Final = {
    Link.SID: 38,
    Link.UCN: 22,
    Link.A_NUMBER: 12,
    Link.AGENCY_LOCAL: 8,
    Link.NAME: 10,
    Link.NAMESAKE: 6,
    Link.A_NUMBER_OTHER_SEX: 4,
}
_FINGERPRINTS: Final = (Link.SID, Link.UCN)


def _wanted(life: Life, *, links: Sequence[Link] = (), late: bool = False, but: Office | None = None) -> Lodged:
    """Lodge a detainer of some agency: months before the booking, or `late`, which is now."""
    link = life.rng.choice(list(links)) if links else life.rng.choices(list(_LINKS), list(_LINKS.values()))[0]
    pool = _ICE if link in (Link.A_NUMBER, Link.A_NUMBER_OTHER_SEX) else AGENCIES
    office = life.rng.choice([a for a in pool if a != but])
    before = timedelta() if late else timedelta(days=life.rng.uniform(20, 300))
    return life.lodge(office, link, before=before)


def _other(life: Life, than: Office) -> Office:
    return life.rng.choice([a for a in AGENCIES if a != than])


def _elsewhere(life: Life) -> Place:
    return life.rng.choice([p for p in PLACES if p != life.place])


def held(life: Life) -> None:
    """In custody, charges changed, to court and back: still in custody (rule 6)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=1)
    life.update(b)
    life.wait(days=1)
    life.away(b)
    life.wait(hours=7)
    life.back(b)
    life.expect(d, b, Stage.IN_CUSTODY)


def court_as_release(life: Life) -> None:
    """A jail that reports a trip to court as a release, with its reason: still in custody (rule 6)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.release(b, reason=ReleaseReason.COURT)
    life.expect(d, b, Stage.IN_CUSTODY)


def released(life: Life) -> None:
    """Scheduled, then released into the community; the case the system is for."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=3)
    life.schedule(b)
    life.wait(days=2)
    life.release(b)
    life.expect(d, b, Stage.RELEASED)


def released_at_once(life: Life) -> None:
    """Nobody scheduled anything; one release is only inferred from a roster (rule 10)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.release(b, reason=ReleaseReason.UNKNOWN, inferred=True)
    life.expect(d, b, Stage.RELEASED)


def handed_over(life: Life) -> None:
    """The lodging agency takes custody: no conflict. Another agency's detainer on the same person is (rule 12)."""
    d = _wanted(life)
    other = _wanted(life, but=d.office)
    b = life.book()
    life.wait(days=3)
    life.schedule(b, to=d.office)
    life.wait(days=1)
    life.release(b, to=d.office)
    life.expect(d, b, Stage.CLOSED, closed_because="handed_over")
    life.expect(other, b, Stage.RELEASED)


def to_another_agency(life: Life) -> None:
    """Handed over, but not to the agency that lodged the detainer."""
    d = _wanted(life)
    to = _other(life, d.office)
    b = life.book()
    life.wait(days=2)
    life.schedule(b, to=to)
    life.wait(days=1)
    life.release(b, to=to)
    life.expect(d, b, Stage.RELEASED)


def scheduled(life: Life) -> None:
    """The date moves; the release is still to come."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.schedule(b, days=5)
    life.wait(days=1)
    life.schedule(b, days=9)
    life.expect(d, b, Stage.RELEASE_SCHEDULED)


def cancelled(life: Life) -> None:
    """A scheduled release that does not take place (rule 9)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.schedule(b)
    life.wait(hours=20)
    life.cancel(b)
    life.expect(d, b, Stage.IN_CUSTODY)


def corrected_to_hand_over(life: Life) -> None:
    """Reported as bond; corrected, at the same instant with a newer sequence: the agency has him (rule 8)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.release(b, reason=ReleaseReason.BOND)
    at = life.last_instant()
    life.wait(hours=6)
    life.release(b, to=d.office, at=at, sequence=1)
    life.expect(d, b, Stage.CLOSED, closed_because="handed_over")


def corrected_to_release(life: Life) -> None:
    """Reported as handed over to the agency; in truth he walked out (rule 8)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.release(b, to=d.office)
    at = life.last_instant()
    life.wait(hours=6)
    life.release(b, reason=ReleaseReason.OWN_RECOGNIZANCE, at=at, sequence=1)
    life.expect(d, b, Stage.RELEASED)


def release_voided(life: Life) -> None:
    """The release was another person's, typed under this number: it never was (rule 8)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    wrong = life.release(b)
    life.wait(hours=3)
    life.void(b, wrong)
    life.expect(d, b, Stage.IN_CUSTODY)


def release_voided_and_said_again(life: Life) -> None:
    """Released an hour earlier than was said: voided, and said anew with the earlier time."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    wrong = life.release(b)
    at = life.last_instant() - timedelta(hours=1)
    life.wait(hours=3)
    life.void(b, wrong)
    life.wait(hours=1)
    life.release(b, at=at)
    life.expect(d, b, Stage.RELEASED)


def booking_voided(life: Life) -> None:
    """Booked by mistake: the ground of what was told is gone (G6)."""
    d = _wanted(life)
    b = life.book()
    wrong = life.last_event()
    life.wait(hours=30)
    life.void(b, wrong)
    life.expect(d, b, Stage.RETRACTED, retraction=RetractionReason.BOOKING_VOIDED)


def transferred(life: Life) -> None:
    """Another facility books the person anew, the detainer follows, and the release comes from there (rules 5, 17)."""
    d = _wanted(life)
    first = life.book()
    life.wait(days=3)
    to = _elsewhere(life)
    life.transfer(first, to)
    life.wait(hours=5)
    second = life.book(to)
    life.wait(days=3)
    life.release(second)
    life.expect(d, first, Stage.TRANSFERRED)
    life.expect(d, second, Stage.RELEASED)


def escaped(life: Life) -> None:
    """Gone without leave: told, and not a release (rule 6)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=3)
    life.escape(b)
    life.expect(d, b, Stage.IN_CUSTODY, status=CustodyStatus.ESCAPED)


def escaped_and_caught(life: Life) -> None:
    d = _wanted(life)
    b = life.book()
    life.wait(days=3)
    life.escape(b)
    life.wait(days=1)
    life.back(b)
    life.expect(d, b, Stage.IN_CUSTODY, status=CustodyStatus.IN_CUSTODY)


def died(life: Life) -> None:
    """Death ends everything (rule 6)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=4)
    life.die(b)
    life.expect(d, b, Stage.CLOSED, closed_because="died")


def late_after_schedule(life: Life) -> None:
    """Lodged between the scheduling and the release (rule 11)."""
    b = life.book()
    life.wait(days=2)
    life.schedule(b)
    life.wait(hours=12)
    d = _wanted(life, late=True)
    life.wait(days=1)
    life.release(b)
    life.expect(d, b, Stage.RELEASED)


def late_after_release(life: Life) -> None:
    """Lodged days after the release: told all the same, as what it is (rule 11)."""
    b = life.book()
    life.wait(days=2)
    life.release(b)
    life.wait(days=4)
    d = _wanted(life, late=True)
    life.expect(d, b, Stage.RELEASED_BEFORE_DETAINER)


def too_late(life: Life) -> None:
    """Lodged after the look-back: nothing is told."""
    b = life.book()
    life.wait(days=2)
    life.release(b)
    life.wait(days=45)
    d = _wanted(life, late=True)
    life.expect(d, b, None)


def late_after_hand_over(life: Life) -> None:
    """The agency has the person already, and lodges its detainer for the record."""
    office = life.rng.choice(AGENCIES)
    b = life.book()
    life.wait(days=2)
    life.release(b, to=office)
    life.wait(days=1)
    d = life.lodge(office, Link.SID)
    life.expect(d, b, None)


def lifted(life: Life) -> None:
    """Told of custody, and no longer wanted (G6)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.lift(d)
    life.wait(days=1)
    life.release(b)
    life.expect(d, b, Stage.RETRACTED, retraction=RetractionReason.DETAINER_LIFTED)


def withdrawn_after_release(life: Life) -> None:
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.release(b)
    life.wait(days=1)
    life.withdraw(d)
    life.expect(d, b, Stage.RETRACTED, retraction=RetractionReason.DETAINER_WITHDRAWN)


def lifted_after_hand_over(life: Life) -> None:
    """What is closed stays closed, and a later booking is no business of a lifted detainer (rule 17)."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=2)
    life.release(b, to=d.office)
    life.wait(days=1)
    life.lift(d)
    life.wait(days=5)
    again = life.book()
    life.expect(d, b, Stage.CLOSED, closed_because="handed_over")
    life.expect(d, again, None)


def found_by_the_agency(life: Life) -> None:
    """Released; the agency found the person itself. Closed, with the time it took."""
    d = _wanted(life)
    b = life.book()
    life.wait(days=3)
    life.release(b)
    left = life.last_instant()
    life.wait(days=6)
    life.assume(d)
    seconds = (life.last_instant() - left).total_seconds()
    life.expect(d, b, Stage.CLOSED, closed_because="custody_assumed", time_to_custody_s=seconds)


def fetched_before_release(life: Life) -> None:
    """The agency took the person out of the second jail, and the jails have not said so: both bookings close."""
    d = _wanted(life, links=_FINGERPRINTS)
    first = life.book()
    life.wait(days=2)
    to = _elsewhere(life)
    life.transfer(first, to)
    life.wait(hours=6)
    second = life.book(to)
    life.wait(days=3)
    life.assume(d)
    life.expect(d, first, Stage.CLOSED, closed_because="custody_assumed")
    life.expect(d, second, Stage.CLOSED, closed_because="custody_assumed")


def back_in_custody(life: Life) -> None:
    """Released, and weeks later booked elsewhere: a new episode, the old conflict stays as it was (rule 17)."""
    d = _wanted(life)
    first = life.book()
    life.wait(days=2)
    life.release(first)
    life.wait(days=12)
    second = life.book(_elsewhere(life))
    life.expect(d, first, Stage.RELEASED)
    life.expect(d, second, Stage.IN_CUSTODY)


def three_detainers(life: Life) -> None:
    """Several detainers on one person are judged one by one (rule 12)."""
    one, two, three = _wanted(life), _wanted(life), _wanted(life)
    b = life.book()
    life.wait(days=1)
    life.lift(two)
    life.wait(days=1)
    life.schedule(b)
    life.expect(one, b, Stage.RELEASE_SCHEDULED)
    life.expect(two, b, Stage.RETRACTED, retraction=RetractionReason.DETAINER_LIFTED)
    life.expect(three, b, Stage.RELEASE_SCHEDULED)


def amended_to_certainty(life: Life) -> None:
    """Only a name at first: a person is asked. Then the agency adds the fingerprint number: told."""
    d = _wanted(life, links=(Link.NAME,))
    b = life.book()
    life.wait(days=2)
    d = life.amend(d, Link.SID)
    life.wait(days=1)
    life.schedule(b)
    life.expect(d, b, Stage.RELEASE_SCHEDULED)


def amended_to_another(life: Life) -> None:
    """The detainer was on another person all along: what was told is taken back (G6)."""
    d = _wanted(life, links=_FINGERPRINTS)
    b = life.book()
    life.wait(days=2)
    life.amend(d, Link.SID, life.population.draw())
    life.expect(d, b, Stage.RETRACTED, retraction=RetractionReason.IDENTITY_CHANGED)


def identified_later(life: Life) -> None:
    """Booked under a false name; the fingerprints come back a day later."""
    d = _wanted(life, links=_FINGERPRINTS)
    b = life.book(nameless=True, numbers=False)
    life.wait(days=1)
    life.update(b, life.population.booked_at(life.human, b.place))
    life.wait(days=1)
    life.release(b)
    life.expect(d, b, Stage.RELEASED, tier=Tier.CONFIRMED)


def never_seen(life: Life) -> None:
    """A detainer on somebody whom no jail holds."""
    _wanted(life)


def stranger(life: Life) -> None:
    """Nobody wants this person. Nearly every booking is such a one, and nothing may come of it."""
    rng = life.rng
    b = life.book()
    if rng.random() < 0.5:
        life.wait(hours=20)
        life.update(b)
    if rng.random() < 0.25:
        life.wait(days=2)
        life.away(b)
        life.wait(hours=8)
        life.back(b)
    if rng.random() < 0.4:
        life.wait(days=2)
        life.schedule(b)
        if rng.random() < 0.15:
            life.wait(hours=20)
            life.cancel(b)
            return
    if rng.random() < 0.85:
        life.wait(days=2)
        life.release(b, to=rng.choice(AGENCIES) if rng.random() < 0.05 else None)


PLOTS: Final[tuple[Plot, ...]] = (
    held,
    court_as_release,
    released,
    released_at_once,
    handed_over,
    to_another_agency,
    scheduled,
    cancelled,
    corrected_to_hand_over,
    corrected_to_release,
    release_voided,
    release_voided_and_said_again,
    booking_voided,
    transferred,
    escaped,
    escaped_and_caught,
    died,
    late_after_schedule,
    late_after_release,
    too_late,
    late_after_hand_over,
    lifted,
    withdrawn_after_release,
    lifted_after_hand_over,
    found_by_the_agency,
    fetched_before_release,
    back_in_custody,
    three_detainers,
    amended_to_certainty,
    amended_to_another,
    identified_later,
    never_seen,
)


def shuffled(rng: random.Random) -> list[Plot]:
    """Every plot once, in an order of chance."""
    plots = list(PLOTS)
    rng.shuffle(plots)
    return plots
