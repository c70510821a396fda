"""Plots that turn on who the person is (DESIGN.md, "Identity"); what they write and say is as in plots.py."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.types.common import Tier
from contracts.types.conflict import RetractionReason, Stage
from contracts.types.person import Person
from deploy.demo.world.life import Life
from deploy.demo.world.openings import begin, wanted
from deploy.demo.world.people import Claim, Link
from deploy.demo.world.places import ICE_BOSTON, Office

__all__ = [
    "claims_citizenship",
    "contradicted",
    "day_and_month_exchanged",
    "false_name",
    "fingerprinted_later",
    "identified",
    "misspelt",
    "misspelt_with_number",
    "mistaken",
    "name_only",
    "namesake",
    "never_fingerprinted",
    "nicknamed",
    "question_withdrawn",
    "sex_mistyped",
    "somebody_else",
]


def name_only(life: Life, offices: Sequence[Office]) -> None:
    """Nobody is told by name and birth date alone (rule 1): a person decides."""
    lodged, booking = begin(life, offices[0], Link.NAME)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def namesake(life: Life, offices: Sequence[Office]) -> None:
    """Same name and birth date, other fingerprints: Garcia v. County of Riverside (rule 1)."""
    lodged, booking = begin(life, offices[0], Link.NAMESAKE)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def contradicted(life: Life, offices: Sequence[Office]) -> None:
    """The A-number is that of the person booked; name and birth date are another's. Somebody has to look."""
    lodged, booking = begin(life, offices[0], Link.A_NUMBER_OF_ANOTHER)
    life.schedule(booking)
    life.expect(lodged, booking, Stage.RELEASE_SCHEDULED)


def sex_mistyped(life: Life, offices: Sequence[Office]) -> None:
    """One box ticked wrongly, against an A-number, a name and a birth date that agree."""
    lodged, booking = begin(life, offices[0], Link.A_NUMBER_OTHER_SEX)
    life.schedule(booking)
    life.expect(lodged, booking, Stage.RELEASE_SCHEDULED)


def misspelt_with_number(life: Life, offices: Sequence[Office]) -> None:
    """A typing error in the surname, and four digits of the social security number: several signals, none certain."""
    lodged, booking = begin(life, offices[0], Link.SSN4_MISSPELT)
    life.schedule(booking)
    life.wait(days=2)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def misspelt(life: Life, offices: Sequence[Office]) -> None:
    """The same without any number: a person decides."""
    lodged, booking = begin(life, offices[0], Link.MISSPELT)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def nicknamed(life: Life, offices: Sequence[Office]) -> None:
    """The agency knows what friends call him; the jail has his papers."""
    life.human = life.population.draw(nicknamed=True)
    lodged, booking = begin(life, offices[0], Link.NICKNAME)
    life.schedule(booking)
    life.expect(lodged, booking, Stage.RELEASE_SCHEDULED)


def day_and_month_exchanged(life: Life, offices: Sequence[Office]) -> None:
    """3 April, written by somebody who writes the month first."""
    life.human = life.population.draw(swappable=True)
    lodged, booking = begin(life, offices[0], Link.DAY_AND_MONTH)
    life.expect(lodged, booking, Stage.IN_CUSTODY)


def false_name(life: Life, offices: Sequence[Office]) -> None:
    """Booked under a surname that is not theirs; the fingerprints tell."""
    lodged = wanted(life, offices[0], life.rng.choice((Link.SID, Link.UCN)))
    booking = life.book(claim=Claim.FALSE_SURNAME)
    life.wait(days=1)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED)


def somebody_else(life: Life, offices: Sequence[Office]) -> None:
    """The number agrees and nothing else does: one number on two people, or a lie. Somebody has to look."""
    lodged = wanted(life, offices[0], life.rng.choice((Link.SID, Link.UCN)))
    booking = life.book(claim=Claim.SOMEBODY_ELSE)
    life.wait(days=1)
    life.release(booking)
    life.expect(lodged, booking, Stage.RELEASED, tier=Tier.POSSIBLE)


def fingerprinted_later(life: Life, offices: Sequence[Office]) -> None:
    """At first a name is all that the jail knows."""
    lodged = wanted(life, offices[0], Link.SID)
    booking = life.book(numbers=False)
    life.wait(hours=4)
    life.update(booking, life.population.booked_at(life.human, booking.place))
    life.wait(hours=4)
    life.schedule(booking)
    life.expect(lodged, booking, Stage.RELEASE_SCHEDULED)


def never_fingerprinted(life: Life, offices: Sequence[Office]) -> None:
    lodged = wanted(life, offices[0], Link.UCN)
    booking = life.book(numbers=False)
    life.expect(lodged, booking, Stage.IN_CUSTODY, tier=Tier.POSSIBLE)


def identified(life: Life, offices: Sequence[Office]) -> None:
    """The agency learns the number; what was a question becomes a notice."""
    lodged, booking = begin(life, offices[0], Link.NAME)
    now = life.amend(lodged, Link.SID)
    life.wait(hours=6)
    life.release(booking)
    life.expect(now, booking, Stage.RELEASED)


def mistaken(life: Life, offices: Sequence[Office]) -> None:
    """The agency meant somebody else: what was told is taken back (G6)."""
    lodged, booking = begin(life, offices[0], Link.SID)
    life.schedule(booking)
    life.wait(hours=5)
    life.amend(lodged, Link.NAME, life.population.draw())
    life.expect(lodged, booking, Stage.RETRACTED, retraction=RetractionReason.IDENTITY_CHANGED)


def claims_citizenship(life: Life, offices: Sequence[Office]) -> None:
    """Fingerprints agree, and he says that he is a citizen: on an immigration detainer a person looks (rule 21)."""
    lodged, booking = begin(life, ICE_BOSTON, Link.SID)
    life.update(booking, Person(us_citizenship_claimed=True))
    life.wait(hours=3)
    life.schedule(booking)
    life.expect(lodged, booking, Stage.RELEASE_SCHEDULED, tier=Tier.POSSIBLE)


def question_withdrawn(life: Life, offices: Sequence[Office]) -> None:
    lodged, booking = begin(life, offices[0], Link.NAME)
    life.lift(lodged)
    life.expect(lodged, booking, Stage.RETRACTED, retraction=RetractionReason.DETAINER_LIFTED)
