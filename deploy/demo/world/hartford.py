"""The case the system was asked for (DOMAIN.md), with its dates. The man is made up; the dates are not.

October 2022: ICE/ERO Boston lodges an immigration detainer on a man held at Hartford Correctional Center.
1 February 2023: released into the community. 4 April 2023: ERO, which learned of it on its own, arrests him.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from contracts.types.conflict import Stage
from deploy.demo.world.life import Booking, Life, Lodged
from deploy.demo.world.people import Link
from deploy.demo.world.places import HARTFORD, ICE_BOSTON

__all__ = ["BOOKED", "CUSTODY", "DAYS_TO_CUSTODY", "LODGED", "RELEASED", "SCHEDULED", "tell"]

_LOCAL: Final = ZoneInfo(HARTFORD.time_zone)
BOOKED: Final = datetime(2022, 9, 28, 22, 15, tzinfo=_LOCAL)
LODGED: Final = datetime(2022, 10, 14, 10, 0, tzinfo=_LOCAL)
SCHEDULED: Final = datetime(2023, 1, 30, 9, 30, tzinfo=_LOCAL)
RELEASED: Final = datetime(2023, 2, 1, 10, 0, tzinfo=_LOCAL)
CUSTODY: Final = datetime(2023, 4, 4, 11, 0, tzinfo=_LOCAL)
"""10 a.m. before, 11 a.m. after the change to daylight saving time: 62 days to the second."""
DAYS_TO_CUSTODY: Final = 62


def tell(life: Life) -> tuple[Lodged, Booking]:
    """Write the case into `life`, a life at Hartford, with what must come of it."""
    life.plot = "hartford"
    life.now = BOOKED.astimezone(UTC)
    booking = life.book(HARTFORD)
    life.now = LODGED.astimezone(UTC)
    lodged = life.lodge(ICE_BOSTON, Link.A_NUMBER)
    life.now = SCHEDULED.astimezone(UTC)
    life.schedule(booking)
    life.now = RELEASED.astimezone(UTC)
    life.release(booking)
    life.now = CUSTODY.astimezone(UTC)
    life.assume(lodged)
    life.expect(
        lodged,
        booking,
        Stage.CLOSED,
        closed_because="custody_assumed",
        time_to_custody_s=timedelta(days=DAYS_TO_CUSTODY).total_seconds(),
    )
    return lodged, booking
