"""The hold's calendar, against days listed by hand, a year at a time."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from deploy.demo.world.places import PLACES
from services.matcher.domain.holds import hold_until
from tests.simulation.truth_calendar import federal_holidays, hold_ends

# The weekdays on which offices of the federal government were, or will be, closed, as opm.gov has them.
CLOSED = {
    2021: "0101 0118 0215 0531 0618 0705 0906 1011 1111 1125 1224",
    2022: "0117 0221 0530 0620 0704 0905 1010 1111 1124 1226",
    2023: "0102 0116 0220 0529 0619 0704 0904 1009 1110 1123 1225",
    2024: "0101 0115 0219 0527 0619 0704 0902 1014 1111 1128 1225",
    2025: "0101 0120 0217 0526 0619 0704 0901 1013 1111 1127 1225",
    2026: "0101 0119 0216 0525 0619 0703 0907 1012 1111 1126 1225",
    2027: "0101 0118 0215 0531 0618 0705 0906 1011 1111 1125 1224",
}


@pytest.mark.parametrize("year", CLOSED)
def test_weekdays_on_which_holidays_are_kept(year: int) -> None:
    kept = {day for day in federal_holidays(year) if day.weekday() < 5 and day.year == year}
    assert {f"{day:%m%d}" for day in kept} == set(CLOSED[year].split())


def test_new_year_on_a_saturday_is_kept_in_the_old_year() -> None:
    assert date(2021, 12, 31) in federal_holidays(2022)


@pytest.mark.parametrize(
    ("zone", "since", "until"),
    [
        ("America/New_York", "2023-03-01T12:00-05:00", "2023-03-03T12:00-05:00"),
        ("America/New_York", "2023-03-03T12:00-05:00", "2023-03-07T12:00-05:00"),  # over a weekend
        ("America/New_York", "2023-03-04T12:00-05:00", "2023-03-08T00:00-05:00"),  # from a Saturday
        ("America/New_York", "2023-03-02T00:00-05:00", "2023-03-04T00:00-05:00"),  # to the end of a Friday
        ("America/New_York", "2023-03-10T12:00-05:00", "2023-03-14T12:00-04:00"),  # the clocks go forward
        ("America/New_York", "2023-11-22T12:00-05:00", "2023-11-27T12:00-05:00"),  # Thanksgiving
        ("America/New_York", "2021-12-30T12:00-05:00", "2022-01-04T12:00-05:00"),  # New Year kept on 31 December
        ("America/Chicago", "2023-03-03T23:30-06:00", "2023-03-07T23:30-06:00"),
        ("America/New_York", "2023-03-03T23:30-06:00", "2023-03-08T00:00-05:00"),  # the same instant: Saturday there
        ("America/Phoenix", "2023-03-10T12:00-07:00", "2023-03-14T12:00-07:00"),  # no summer time
    ],
)
def test_forty_eight_hours(zone: str, since: str, until: str) -> None:
    """8 CFR 287.7(d), in the facility's own days."""
    assert hold_ends(datetime.fromisoformat(since), 48, zone) == datetime.fromisoformat(until).astimezone(UTC)


def test_the_matcher_counts_the_same_hours() -> None:
    """It asks the package `holidays`; this goes by the law. Each checks the other."""
    rng = random.Random(6103)
    for _ in range(3000):
        since = datetime(2021, 7, 1, tzinfo=UTC) + timedelta(minutes=rng.randrange(9 * 365 * 24 * 60))
        zone = rng.choice(PLACES).time_zone
        assert hold_until(since, ZoneInfo(zone)) == hold_ends(since, 48, zone), (since, zone)
