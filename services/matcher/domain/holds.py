"""Until when an immigration hold is lawful (rule 15, 8 CFR 287.7(d))."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

import holidays

__all__ = ["hold_until", "is_counted"]

_HOURS: Final = timedelta(hours=48)
_DAY: Final = timedelta(days=1)


@lru_cache(maxsize=64)
def _federal(year: int) -> frozenset[date]:
    """Federal holidays of a year, and the days on which they are observed (5 U.S.C. 6103). A New Year on a Saturday is
    observed in the year before, so the next year is looked at too."""
    found = holidays.country_holidays("US", years=(year, year + 1))
    return frozenset(day for day in found if day.year == year)


def is_counted(day: date) -> bool:
    """Whether a day counts towards the 48 hours: no Saturday, no Sunday, no federal holiday."""
    return day.weekday() < 5 and day not in _federal(day.year)


def hold_until(start: datetime, zone: tzinfo, hours: timedelta = _HOURS) -> datetime:
    """When a hold that began at `start` runs out: `hours` of counted days later, in UTC.

    start: when the person would otherwise have been released; aware. zone: the facility's; its calendar days are meant.
    Hours are hours that pass: a day on which the clocks change has 23 or 25 of them.
    """
    moment, left = start.astimezone(UTC), hours
    while True:
        day = moment.astimezone(zone).date()
        midnight = datetime.combine(day + _DAY, time.min, zone).astimezone(UTC)
        if is_counted(day):
            if moment + left <= midnight:
                return moment + left
            left -= midnight - moment
        moment = midnight
