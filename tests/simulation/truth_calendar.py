"""How long an immigration hold may last, worked out day by day on the facility's own calendar (8 CFR 287.7(d))."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

__all__ = ["federal_holidays", "hold_ends"]

_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6


@cache
def federal_holidays(year: int) -> frozenset[date]:
    """The legal public holidays of 5 U.S.C. 6103(a) of a year, and the days on which they are kept.

    One on a Saturday is kept on the Friday before (6103(b)), one on a Sunday on the Monday after (E.O. 11582). The
    New Year of `year` may be kept on a day of the year before; that day is among those of `year` here.
    """
    days = {
        date(year, 1, 1),
        _nth(year, 1, _MONDAY, 3),  # Martin Luther King, Jr.
        _nth(year, 2, _MONDAY, 3),  # Washington
        _nth(year, 6, _MONDAY, 1) - timedelta(days=7),  # Memorial Day: the last Monday of May
        date(year, 7, 4),
        _nth(year, 9, _MONDAY, 1),  # Labor Day
        _nth(year, 10, _MONDAY, 2),  # Columbus Day
        date(year, 11, 11),
        _nth(year, 11, _THURSDAY, 4),  # Thanksgiving
        date(year, 12, 25),
    }
    if year >= 2021:  # Pub. L. 117-17
        days.add(date(year, 6, 19))
    before = {day - timedelta(days=1) for day in days if day.weekday() == _SATURDAY}
    after = {day + timedelta(days=1) for day in days if day.weekday() == _SUNDAY}
    return frozenset(days | before | after)


def hold_ends(since: datetime, hours: float, zone: str) -> datetime:
    """The instant at which `hours` have passed that lie on no Saturday, Sunday or federal holiday of `zone`."""
    left = timedelta(hours=hours)
    instant = since.astimezone(UTC)
    while True:
        day = instant.astimezone(ZoneInfo(zone)).date()
        midnight = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)
        if _counts(day):
            if midnight - instant >= left:
                return instant + left
            left -= midnight - instant
        instant = midnight


def _counts(day: date) -> bool:
    kept = federal_holidays(day.year) | federal_holidays(day.year + 1)
    return day.weekday() not in (_SATURDAY, _SUNDAY) and day not in kept


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))
