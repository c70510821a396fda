"""When a feed is stopped (rule 19), and what an operator's decision is about."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.types.feed import Breaker, BreakerState
from services.matcher.domain.feeds.breaker import Trip, judge
from services.matcher.domain.feeds.tally import IN_CUSTODY, Contribution, Tallies, Tally
from services.matcher.domain.feeds.terms import FeedTerms
from tests.unit.matcher.feeds.breakers import MINUTE, NOON, SECOND, breaker
from tests.unit.matcher.people import FACILITY, at

TERMS = FeedTerms()

Release = tuple[datetime, datetime]
"""(occurred at, accepted at)"""


def tallies(in_custody: int, releases: list[Release], partitions: int = 1) -> list[Tally]:
    """What partitions say when these are spread over them in turn."""
    counts = [Tallies(TERMS.keep) for _ in range(partitions)]
    for n in range(in_custody):
        counts[n % partitions].changed(FACILITY, None, IN_CUSTODY, at(0))
    for n, (occurred_at, accepted_at) in enumerate(releases):
        counts[n % partitions].changed(FACILITY, None, Contribution(occurred_at, accepted_at), accepted_at)
    return [count.tally(FACILITY) for count in counts if count.touched()]


def burst(number: int, start: datetime = NOON, every: timedelta = SECOND, late: timedelta = SECOND) -> list[Release]:
    return [(start + n * every, start + n * every + late) for n in range(number)]


def test_a_mass_release_trips_and_holds_from_the_beginning_of_its_window() -> None:
    trip = judge(tallies(90, burst(40)), TERMS)
    assert trip == Trip(since=NOON - 59 * MINUTE, releases=40, population=130)


@pytest.mark.parametrize(
    ("in_custody", "released", "trips"),
    [
        (0, 9, False),  # fewer than ten never do
        (0, 10, True),
        (30, 10, False),  # a quarter of forty is not more than a quarter
        (29, 10, True),
        (3000, 700, False),
    ],
)
def test_more_than_a_quarter_and_ten_at_least(in_custody: int, released: int, trips: bool) -> None:
    assert (judge(tallies(in_custody, burst(released)), TERMS) is not None) is trips


def test_the_window_is_an_hour_to_the_minute() -> None:
    within = burst(5) + burst(5, NOON + 59 * MINUTE)
    beyond = burst(5) + burst(5, NOON + 60 * MINUTE)
    assert judge(tallies(5, within), TERMS) is not None
    assert judge(tallies(5, beyond), TERMS) is None


def test_a_feed_that_catches_up_is_no_mass_release() -> None:
    """Two days of a jail of 60 that releases one an hour, all accepted within a minute."""
    releases = [(NOON - timedelta(hours=n), NOON + SECOND) for n in range(48)]
    assert judge(tallies(60, releases), TERMS) is None
    # The same number within an hour is one, even if it is dated back and the jail has said newer things since.
    dated_back = [(NOON - timedelta(days=20) + n * MINUTE, NOON + SECOND) for n in range(48)]
    assert judge(tallies(60, [*dated_back, *burst(1)]), TERMS) is not None


def test_what_was_accepted_a_day_ago_is_history() -> None:
    old = burst(40)
    assert judge(tallies(20, [*old, *burst(1, NOON + timedelta(hours=24))]), TERMS) is not None
    assert judge(tallies(20, [*old, *burst(1, NOON + timedelta(hours=24, minutes=1))]), TERMS) is None
    # A partition that was not heard of since does not keep its own share alive.
    quiet, loud = tallies(20, old), tallies(0, burst(1, NOON + timedelta(hours=30)))
    assert judge(quiet, TERMS) is not None
    assert judge([*quiet, *loud], TERMS) is None


def test_the_population_is_who_was_there_when_the_window_began() -> None:
    gone_before = [(NOON - timedelta(hours=n), NOON - timedelta(hours=n)) for n in range(2, 20)]
    later = burst(5, NOON + timedelta(hours=2))
    trip = judge(tallies(24, [*gone_before, *burst(10), *later]), TERMS)
    assert trip is not None
    assert (trip.releases, trip.population) == (10, 24 + 10 + 5)


def test_a_tripped_breaker_is_not_joined_by_others() -> None:
    released = burst(40)
    trip = judge(tallies(60, released), TERMS)
    assert trip is not None
    open_one = breaker(since=trip.since)
    assert judge(tallies(20, [*released, *burst(40, NOON + 10 * MINUTE)]), TERMS, [open_one]) is None
    assert judge(tallies(20, released), TERMS, [breaker(since=NOON)]) is None
    # What comes in of an earlier time is not held by it, and is judged for itself.
    earlier = [(trip.since - timedelta(hours=2), NOON + MINUTE)] * 30
    other = judge(tallies(20, [*released, *earlier]), TERMS, [open_one])
    assert other is not None
    assert (other.releases, other.since) == (30, trip.since - timedelta(hours=2, minutes=59))


@pytest.mark.parametrize("state", [BreakerState.RELEASED, BreakerState.DISCARDED])
def test_a_decision_covers_what_was_accepted_until_then_and_no_more(state: BreakerState) -> None:
    before = burst(40)
    decided = breaker(state, NOON - 59 * MINUTE, before[-1][1])
    assert judge(tallies(60, before), TERMS, [decided]) is None
    # The burst goes on: what is accepted later counts anew, by itself, of all who were there when it began.
    after = burst(40, NOON + MINUTE)
    some = judge(tallies(40, [*before, *after[:20]]), TERMS, [decided])
    more = judge(tallies(20, [*before, *after]), TERMS, [decided])
    assert some is None
    assert more == Trip(since=NOON - 58 * MINUTE, releases=40, population=100)
    # Later messages about the same minutes are not covered either.
    late = [(occurred_at, NOON + 5 * MINUTE) for occurred_at, _ in after]
    assert judge(tallies(20, [*before, *late]), TERMS, [decided]) is not None


def test_a_jail_that_empties_is_asked_about_once() -> None:
    emptied = burst(100)
    decided = breaker(BreakerState.RELEASED, NOON - 59 * MINUTE, emptied[-1][1])
    last_ten = burst(10, NOON + 20 * MINUTE)
    assert judge(tallies(0, [*emptied, *last_ten]), TERMS, [decided]) is None
    assert judge(tallies(0, last_ten), TERMS) is not None


_minutes = st.integers(0, 60)
_releases = st.lists(st.tuples(_minutes.map(lambda m: at(m / 60)), _minutes.map(lambda m: at(m / 60))), max_size=40)
_terms = st.builds(
    FeedTerms,
    share=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    window=st.sampled_from([1, 5, 20]).map(lambda m: timedelta(minutes=m)),
    at_least=st.integers(1, 12),
)
_breakers = st.lists(
    st.builds(
        lambda since, after, state: breaker(
            state, at(since / 60), None if state is BreakerState.TRIPPED else at((since + after) / 60)
        ),
        _minutes,
        _minutes,
        st.sampled_from(BreakerState),
    ),
    max_size=3,
)


def naive(in_custody: int, releases: list[Release], terms: FeedTerms, breakers: list[Breaker]) -> Trip | None:
    """Every window, from the definitions; all times are whole minutes here."""
    counted = [
        occurred_at
        for occurred_at, accepted_at in releases
        if not any(occurred_at >= b.since and (b.decided_at is None or accepted_at <= b.decided_at) for b in breakers)
    ]
    for end in sorted(counted):
        since = end - terms.window + MINUTE
        within = sum(since <= one <= end for one in counted)
        population = in_custody + sum(occurred_at >= since for occurred_at, _ in releases)
        if within >= terms.at_least and within > terms.share * population:
            return Trip(since=since, releases=within, population=population)
    return None


@given(st.integers(0, 20), _releases, _terms, _breakers, st.integers(1, 12), st.randoms(use_true_random=False))
def test_the_judge_does_what_it_says_however_spread(
    in_custody: int, releases: list[Release], terms: FeedTerms, breakers: list[Breaker], partitions: int, random: object
) -> None:
    trip = judge(tallies(in_custody, releases), terms, breakers)
    assert trip == naive(in_custody, releases, terms, breakers)
    assert trip is None or (trip.releases >= terms.at_least and trip.since <= max(o for o, _ in releases))
    spread = tallies(in_custody, releases, partitions)
    random.shuffle(spread)  # type: ignore[attr-defined]
    assert judge(spread, terms, breakers) == trip


@given(st.integers(0, 200), st.lists(_minutes.map(lambda m: at(m / 60)), max_size=30))
def test_fewer_than_at_least_never_trip(in_custody: int, occurred: list[datetime]) -> None:
    terms = FeedTerms(share=0.0, at_least=len(occurred) + 1)
    assert judge(tallies(in_custody, [(one, at(4)) for one in occurred]), terms) is None


def test_nothing_known_trips_nothing() -> None:
    assert judge([], TERMS) is None


@pytest.mark.parametrize(
    ("given_terms", "named"),
    [
        ({"share": 1.0}, "share"),
        ({"at_least": 0}, "at_least"),
        ({"min_gaps": 0}, "min_gaps"),
        ({"window": timedelta(seconds=59)}, "window"),
        ({"keep": timedelta(minutes=59)}, "keep"),
    ],
)
def test_terms_that_make_no_sense_are_refused(given_terms: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        FeedTerms(**given_terms)  # type: ignore[arg-type]
