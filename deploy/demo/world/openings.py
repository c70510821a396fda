"""How a plot begins."""

from __future__ import annotations

from datetime import timedelta

from deploy.demo.world.life import Life
from deploy.demo.world.people import Link
from deploy.demo.world.places import PLACES, Office, Place
from deploy.demo.world.script import Booking, Lodged

__all__ = ["LINKS", "begin", "elsewhere", "wanted"]

LINKS = (Link.SID, Link.SID, Link.SID, Link.UCN, Link.A_NUMBER, Link.AGENCY_LOCAL, Link.NAME)


def wanted(life: Life, office: Office, link: Link | None = None) -> Lodged:
    """A detainer from before the booking."""
    return life.lodge(office, link or life.rng.choice(LINKS), before=timedelta(days=life.rng.uniform(1, 60)))


def begin(life: Life, office: Office, link: Link | None = None) -> tuple[Lodged, Booking]:
    lodged = wanted(life, office, link)
    booking = life.book()
    life.wait(hours=6)
    return lodged, booking


def elsewhere(life: Life) -> Place:
    return life.rng.choice([place for place in PLACES if place != life.place])
