"""When a feed's silence is unusual: synthetic rhythms of a jail, and the real one of New York's roster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.matcher.domain.feeds.rhythm import Rhythm
from services.matcher.domain.feeds.terms import FeedTerms
from tests.tools.roster_truth import NYC_DIRECTORY, roster_truth

MONDAY = datetime(2023, 1, 2, tzinfo=UTC)
TERMS = FeedTerms()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def follow(messages: Iterable[datetime], terms: FeedTerms = TERMS) -> tuple[Rhythm, list[datetime]]:
    """The rhythm after these messages, and when it was silent on the way."""
    rhythm, silences = Rhythm(), list[datetime]()
    for at in messages:
        silent = rhythm.silent_at(terms)
        if silent is not None and silent < at:
            silences.append(silent)
        rhythm.heard(at, terms)
    return rhythm, silences


def every(gap: timedelta, number: int, start: datetime = MONDAY) -> list[datetime]:
    return [start + n * gap for n in range(number)]


def test_not_judged_before_five_gaps_are_known() -> None:
    assert follow(every(HOUR, 5))[0].silent_at(TERMS) is None
    assert follow(every(HOUR, 6))[0].silent_at(TERMS) == MONDAY + 8 * HOUR


@pytest.mark.parametrize(("gap", "allowed"), [(timedelta(minutes=5), HOUR), (4 * HOUR, 12 * HOUR), (DAY, 3 * DAY)])
def test_three_times_the_usual_gap_and_an_hour_at_least(gap: timedelta, allowed: timedelta) -> None:
    messages = every(gap, 30)
    rhythm, silences = follow(messages)
    assert silences == []
    assert rhythm.usual_gap() == gap
    assert rhythm.silent_at(TERMS) == messages[-1] + allowed


def test_a_burst_is_one_message() -> None:
    bursts = [at + timedelta(seconds=s) for at in every(2 * HOUR, 10) for s in (0, 20, 59, 118)]
    rhythm, _ = follow(bursts)
    assert rhythm.gaps == [2 * 3600 - 118] * 9


def test_one_gap_in_ten_may_be_longer() -> None:
    gaps = [HOUR] * 29 + [5 * HOUR] * 3
    at, messages = MONDAY, [MONDAY]
    for gap in gaps:
        at += gap
        messages.append(at)
    assert follow(messages)[0].usual_gap() == HOUR
    assert follow([*messages, at + 5 * HOUR])[0].usual_gap() == 5 * HOUR


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=80), st.data())
def test_late_and_repeated_messages_say_nothing(minutes: list[int], data: st.DataObject) -> None:
    plain, disturbed = Rhythm(), Rhythm()
    heard: list[datetime] = []
    for at in (MONDAY + timedelta(minutes=m) for m in sorted(minutes)):
        plain.heard(at, TERMS)
        disturbed.heard(at, TERMS)
        heard.append(at)
        again = data.draw(st.sampled_from(heard)) - timedelta(minutes=data.draw(st.integers(0, 5)))
        assert not disturbed.heard(again, TERMS)
    assert disturbed == plain
    assert len(plain.gaps) <= 32
    assert msgspec.json.decode(msgspec.json.encode(plain), type=Rhythm) == plain
    silent = plain.silent_at(TERMS)
    assert silent is None or silent >= heard[-1] + TERMS.floor


def busy(random: Random, days: int, hours: range, weekdays: range = range(7)) -> Iterator[datetime]:
    """A message every four minutes on average, at these hours of these days of the week, and none at other times."""
    at = MONDAY
    while at < MONDAY + days * DAY:
        at += timedelta(seconds=random.expovariate(1 / 240))
        if at.hour in hours and at.weekday() in weekdays:
            yield at


@pytest.mark.parametrize("seed", range(5))
def test_a_jail_that_sleeps_at_night(seed: int) -> None:
    messages = list(busy(Random(seed), 60, range(6, 22)))
    _, silences = follow(messages)
    assert [silent.date() for silent in silences] == [MONDAY.date()]  # the first night, which nobody knew of
    # It falls silent: by day that shows within hours, late in the evening on the next morning.
    for hour, shows_after, shows_before in ((10, 1, 1.5), (21.9, 9, 11)):
        stopped = MONDAY + 40 * DAY + hour * HOUR
        rhythm, _ = follow(at for at in messages if at <= stopped)
        silent = rhythm.silent_at(TERMS)
        assert rhythm.heard_at is not None and silent is not None
        assert shows_after * HOUR <= silent - rhythm.heard_at <= shows_before * HOUR + timedelta(seconds=1)


@pytest.mark.parametrize("seed", range(5))
def test_an_office_that_is_closed_at_the_weekend(seed: int) -> None:
    messages = list(busy(Random(seed), 60, range(8, 18), range(5)))
    _, silences = follow(messages)
    assert [(silent - MONDAY).days for silent in silences] == [0, 5]  # the first night, the first weekend
    stopped = MONDAY + 39 * DAY + 12 * HOUR  # a Friday, at noon
    rhythm, _ = follow(at for at in messages if at <= stopped)
    silent = rhythm.silent_at(TERMS)
    assert silent is not None and HOUR < silent - stopped + timedelta(minutes=30) < 1.5 * HOUR
    rhythm, _ = follow(at for at in messages if at <= stopped + 6 * HOUR)
    silent = rhythm.silent_at(TERMS)
    assert silent is not None and (silent - MONDAY).days == 42 and 8 <= silent.hour <= 10  # Monday morning


@pytest.mark.parametrize(("last", "shows"), [(20.7, 31), (19.9, 20 + 50 / 60)])
def test_shortly_before_a_usual_pause_it_may_have_begun(last: float, shows: float) -> None:
    """Nights from 21:55 to 6:00: what is silent from 20:40 on may have gone to bed early, not so from 19:50 on."""
    stopped = MONDAY + 4 * DAY + last * HOUR
    messages = (at for at in every(timedelta(minutes=5), 5 * 288) if 6 <= at.hour < 22 and at <= stopped)
    rhythm, _ = follow(messages)
    silent = rhythm.silent_at(TERMS)
    assert silent is not None
    assert abs(silent - (MONDAY + 4 * DAY + shows * HOUR)) < timedelta(minutes=1)


def test_pauses_of_busier_days_are_nothing_to_a_feed_that_is_slow_now() -> None:
    busy_days = [at for at in every(timedelta(minutes=5), 4 * 288) if 6 <= at.hour < 22]
    slow_days = every(12 * HOUR, 12, MONDAY + 4 * DAY + 8 * HOUR)
    rhythm, _ = follow([*busy_days, *slow_days])
    assert rhythm.pauses
    assert rhythm.silent_at(TERMS) == slow_days[-1] + 36 * HOUR


def test_an_outage_excuses_no_more_than_it_lasted() -> None:
    messages = [at for at in every(timedelta(minutes=10), 6 * 24 * 3) if not 10 <= (at - MONDAY) / HOUR - 24 < 13]
    before, silences = follow(at for at in messages if at <= MONDAY + 2 * DAY + 9 * HOUR)
    assert silences == [MONDAY + DAY + 10 * HOUR + timedelta(minutes=50)]
    assert before.silent_at(TERMS) == MONDAY + 2 * DAY + 14 * HOUR


# -- New York ----------------------------------------------------------------------------------------------------------

FILES = sorted(NYC_DIRECTORY.glob("*.csv.gz"))
here = pytest.mark.skipif(not FILES, reason=f"the rosters are not on this machine: {NYC_DIRECTORY}")
NEW_YORK = ZoneInfo("America/New_York")


def day(month: int, of_month: int, hour: int = 0) -> datetime:
    return datetime(2023, month, of_month, hour, tzinfo=NEW_YORK)


@cache
def roster_days() -> list[tuple[datetime, bool]]:
    """When each file came, and whether it said anything new."""
    return [
        (datetime.strptime(roster.name, "%Y%m%d").replace(tzinfo=NEW_YORK), not roster.stale)
        for roster in roster_truth(FILES)
    ]


def rosters(with_news: bool) -> list[datetime]:
    """When each file came; or only those with news, which are all that the matcher hears of."""
    return [at for at, news in roster_days() if news or not with_news]


@here
@pytest.mark.parametrize(
    ("with_news", "factor", "usual_days", "silences"),
    [
        # A file each day, but for 25 January: a gap of two days is within three times the usual one, not within 1.5.
        (False, 3.0, 1, []),
        (False, 1.5, 1, [day(1, 25, 12)]),
        # Nothing new at weekends and on other days: up to four days are usual, the six from 20 to 26 January are not.
        (True, 3.0, 3, []),
        (True, 1.5, 3, [day(1, 24, 12)]),
    ],
)
def test_new_york_two_months(with_news: bool, factor: float, usual_days: int, silences: list[datetime]) -> None:
    terms = FeedTerms(factor=factor)
    rhythm, silent = follow(rosters(with_news), terms)
    assert silent == silences
    assert rhythm.usual_gap() == usual_days * DAY
    assert rhythm.silent_at(terms) == day(2, 28) + factor * usual_days * DAY


@here
@pytest.mark.parametrize(("with_news", "shows"), [(False, day(2, 13)), (True, day(2, 19))])
def test_new_york_stops_after_10_february(with_news: bool, shows: datetime) -> None:
    rhythm, silences = follow(at for at in rosters(with_news) if at <= day(2, 10))
    assert silences == []
    assert rhythm.silent_at(TERMS) == shows
