"""What time alone brings about (docs/lifecycle.md): holds that run out, detainers that lapse, releases that stand,
episodes that are put away. Hours count from Sunday, 1 January 2023, 00:00 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from contracts.types.conflict import Alert, Decision, RetractionReason, ReviewStatus, Stage
from contracts.types.custody import Booked, Escaped, ReleaseCancelled, Released, ReleaseScheduled, Returned, Voided
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from services.matcher.domain.fold import EPISODE_CLOSED
from services.matcher.domain.holds import hold_until
from services.matcher.domain.inputs import CustodyInput
from tests.unit.matcher.people import AGENCY, FACILITY, at, detainer, fact, person
from tests.unit.matcher.world import EPISODE, World, decide

NEW_YORK = ZoneInfo("America/New_York")
SETTLE = 0.25
TUESDAY = 2 * 24
"""3 January 2023; the Monday before is a federal holiday, since New Year's Day is a Sunday."""
booked = fact(Booked, 0)
scheduled = fact(ReleaseScheduled, 5, scheduled_for=at(TUESDAY + 12))
warrant = detainer(type=DetainerType.OUT_OF_STATE_WARRANT)


def local(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=NEW_YORK)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (local(2026, 3, 3, 9), local(2026, 3, 5, 9)),
        (local(2026, 3, 5, 9), local(2026, 3, 9, 9)),  # over a weekend, in which the clocks go forward
        (local(2026, 3, 7, 9), local(2026, 3, 11, 0)),  # begun on a Saturday
        (local(2023, 9, 1, 17), local(2023, 9, 6, 17)),  # over Labor Day
        (local(2021, 12, 30, 12), local(2022, 1, 4, 12)),  # New Year's Day, a Saturday, is observed on the Friday
        (local(2026, 11, 24, 8), local(2026, 11, 27, 8)),  # over Thanksgiving
    ],
)
def test_an_immigration_hold_counts_no_weekend_and_no_holiday(start: datetime, end: datetime) -> None:
    """8 CFR 287.7(d)."""
    assert hold_until(start, NEW_YORK) == end


def test_a_day_of_another_length_has_its_own_hours() -> None:
    """In Cairo the clocks go forward on a Friday, which is counted there as here: 23 hours of it."""
    cairo = ZoneInfo("Africa/Cairo")
    start = datetime(2026, 4, 23, 12, tzinfo=cairo)
    assert hold_until(start, cairo) - start.astimezone(UTC) == timedelta(hours=48 + 48)


def test_a_hold_that_runs_out() -> None:
    """Rule 15: two full days, in New York's time, after the release should have been."""
    world = World()
    world.ground.places.put(FACILITY, "America/New_York")
    world.take(detainer(), booked, scheduled)
    assert world.conflicts[-1].hold_until == at(TUESDAY + 12 + 48)
    assert world.pass_time(TUESDAY + 12 + 47.9).stages()[-1] == (2, Stage.RELEASE_SCHEDULED)
    assert world.pass_time(TUESDAY + 12 + 48).stages()[-1] == (3, Stage.HOLD_EXPIRED)
    assert world.conflicts[-1].cause.kind == "timer"
    world.take(fact(Released, TUESDAY + 70, released_to=AGENCY))
    assert world.stages()[-1] == (4, Stage.CLOSED)


FRIDAY = 5 * 24 + 20
"""20:00 on Friday, 6 January in UTC: still Friday in New York, and already Saturday in Guam."""


def test_a_time_zone_that_is_corrected_is_judged_again() -> None:
    world = World().move("Pacific/Guam")
    world.take(detainer(), booked, fact(ReleaseScheduled, 5, scheduled_for=at(FRIDAY)))
    wrong, right = (hold_until(at(FRIDAY), zone) for zone in (ZoneInfo("Pacific/Guam"), NEW_YORK))
    assert world.conflicts[-1].hold_until == wrong < right
    world.move("America/New_York")
    assert (world.conflicts[-1].hold_until, world.conflicts[-1].cause.kind) == (right, "time_zone")
    versions = len(world.conflicts)
    ends = (right - at(0)) / timedelta(hours=1)
    world.pass_time(ends - 0.1)
    assert len(world.conflicts) == versions, "the timer of the wrong zone, which is earlier, is gone"
    world.pass_time(ends)
    assert world.stages()[-1] == (versions + 1, Stage.HOLD_EXPIRED)


def test_a_time_zone_that_was_corrected_while_nobody_served_is_judged_by() -> None:
    world = World().take(detainer(), booked, fact(ReleaseScheduled, 5, scheduled_for=at(FRIDAY)))
    world.ground.places.put(FACILITY, "Pacific/Guam")
    again = world.restarted().pass_time(6)
    assert [c.hold_until for c in again.conflicts] == [hold_until(at(FRIDAY), ZoneInfo("Pacific/Guam"))]


def test_the_hold_runs_although_the_agency_is_to_get_the_person() -> None:
    to_agency = fact(ReleaseScheduled, 5, scheduled_for=at(TUESDAY), released_to=AGENCY)
    world = World().take(detainer(), booked, to_agency).pass_time(2000)
    assert world.stages() == [(1, Stage.IN_CUSTODY), (2, Stage.HOLD_EXPIRED)]


@pytest.mark.parametrize("later", [fact(ReleaseCancelled, 20), fact(Escaped, 20), fact(Released, 60)])
def test_no_hold_runs_out_once_there_is_none(later: object) -> None:
    assert isinstance(later, type(booked))
    world = World().take(detainer(), booked, scheduled, later).pass_time(2000)
    assert Stage.HOLD_EXPIRED not in [stage for _, stage in world.stages()]


def test_whoever_was_released_and_brought_back_is_not_overdue() -> None:
    world = World().take(warrant, booked, scheduled, fact(Released, 60), fact(Returned, 70)).pass_time(2000)
    assert all(not c.alerts for c in world.conflicts)
    assert world.stages()[-1][1] is Stage.IN_CUSTODY


def test_over_detention_is_told_once() -> None:
    world = World().take(warrant, booked, scheduled)
    assert world.conflicts[-1].hold_until is None
    world.pass_time(TUESDAY + 12 + 23.9)
    assert [c.alerts for c in world.conflicts] == [[], []]
    world.pass_time(2000)
    assert [c.alerts for c in world.conflicts] == [[], [], [Alert.OVER_DETENTION]]


def test_a_feed_that_catches_up_raises_no_alarm() -> None:
    """Scheduled, and released on time, but both were heard of a week later, a moment apart."""
    heard = 10 * 24
    facts = [msgspec.structs.replace(f, accepted_at=at(heard)) for f in (booked, scheduled, fact(Released, 60))]
    world = World()
    world.now = at(heard)
    world.take(detainer(), *facts[:2]).pass_time(heard + SETTLE / 2)
    assert world.stages()[-1][1] is Stage.RELEASE_SCHEDULED
    world.take(facts[2]).pass_time(2000)
    assert [stage for _, stage in world.stages()] == [Stage.IN_CUSTODY, Stage.RELEASE_SCHEDULED, Stage.RELEASED]


def test_the_alarm_comes_when_the_feed_has_had_its_time() -> None:
    heard = 10 * 24
    facts = [msgspec.structs.replace(f, accepted_at=at(heard)) for f in (booked, scheduled)]
    world = World()
    world.now = at(heard)
    world.take(detainer(), *facts).pass_time(heard + SETTLE)
    assert world.stages()[-1][1] is Stage.HOLD_EXPIRED


# -- detainers that lapse (rule 20) ------------------------------------------------------------------------------------


def lapsing(hours: float, **changes: object) -> Detainer:
    return msgspec.structs.replace(warrant, expires_at=at(hours), **changes)


def test_a_detainer_lapses_and_is_told_of_before() -> None:
    world = World().take(lapsing(20 * 24), booked).pass_time(13 * 24 - 0.1)
    assert [c.alerts for c in world.conflicts] == [[]]
    world.pass_time(20 * 24 - 0.1)
    assert [c.alerts for c in world.conflicts] == [[], [Alert.DETAINER_EXPIRES]]
    world.pass_time(20 * 24)
    assert world.stages()[-1] == (3, Stage.RETRACTED)
    assert world.conflicts[-1].retraction is RetractionReason.DETAINER_EXPIRED


def test_renewed_in_time_it_does_not_lapse() -> None:
    renewed = lapsing(90 * 24, occurred_at=at(100), accepted_at=at(100))
    world = World().take(lapsing(20 * 24), booked, renewed).pass_time(30 * 24)
    assert world.stages() == [(1, Stage.IN_CUSTODY)]


def test_who_was_released_before_it_lapsed_is_still_told_of() -> None:
    world = World().take(lapsing(20 * 24), booked, fact(Released, 10)).pass_time(40 * 24)
    assert world.stages()[-1][1] is Stage.RELEASED


def test_and_a_clerk_who_books_them_once_more_takes_nothing_back() -> None:
    world = World().take(lapsing(20 * 24), booked, fact(Released, 10)).pass_time(21 * 24)
    world.take(fact(Booked, 21 * 24)).pass_time(40 * 24)
    assert world.stages()[-1][1] is Stage.RELEASED


def test_who_is_booked_after_it_lapsed_is_not() -> None:
    assert not World().take(lapsing(-1), booked).pass_time(40 * 24).conflicts


# -- inferred releases (rule 10) ---------------------------------------------------------------------------------------


def test_an_inferred_release_stands_after_a_while() -> None:
    world = World().take(warrant, booked, fact(Released, 24, inferred=True)).pass_time(49.9)
    assert [c.release.inferred_stands for c in world.conflicts if c.release] == [False]
    world.pass_time(50)
    assert [c.release.inferred_stands for c in world.conflicts if c.release] == [False, True]


def test_one_that_is_taken_back_does_not() -> None:
    world = World().take(warrant, booked, fact(Released, 24, inferred=True), fact(Returned, 40)).pass_time(500)
    assert [stage for _, stage in world.stages()] == [Stage.IN_CUSTODY, Stage.RELEASED, Stage.IN_CUSTODY]


# -- put away ----------------------------------------------------------------------------------------------------------

DAYS_90 = 90 * 24


def test_an_episode_is_put_away_and_what_comes_for_it_is_refused() -> None:
    handed_over = fact(Released, 10, released_to=AGENCY)
    world = World().take(warrant, booked, handed_over).pass_time(10 + DAYS_90 - 1)
    assert list(world.state.episodes) == [EPISODE]
    world.pass_time(10 + DAYS_90)
    assert not world.state.episodes
    assert not world.state.pairs
    assert world.evolve(CustodyInput(fact(Returned, 20), EPISODE)).refused == EPISODE_CLOSED
    again = world.restarted()
    assert again.evolve(CustodyInput(fact(Returned, 20), EPISODE)).refused == EPISODE_CLOSED
    assert world.stages()[-1][1] is Stage.CLOSED
    world.pass_time(10 + DAYS_90 + 400 * 24)
    assert not world.state.put_away
    assert not len(world.state.timers)


def test_a_conflict_that_stands_keeps_its_episode_until_the_detainer_is_over() -> None:
    world = World().take(warrant, booked, fact(Released, 10)).pass_time(10 + 2 * DAYS_90)
    assert list(world.state.episodes) == [EPISODE]
    lifted = detainer(-24, DetainerState.LIFTED, 2 * DAYS_90 + 20, type=DetainerType.OUT_OF_STATE_WARRANT)
    world.take(lifted).pass_time(2 * DAYS_90 + 100)
    assert world.stages()[-1][1] is Stage.RETRACTED
    assert not world.state.episodes


def test_a_review_that_waits_keeps_its_episode() -> None:
    nameless = person(sid=None)
    only_told = detainer(who=nameless, type=DetainerType.WRIT, intent=Intent.NOTIFY_ONLY)
    world = World().take(only_told, fact(Booked, 0, person=nameless), fact(Released, 10)).pass_time(DAYS_90 + 100)
    assert [r.status for r in world.reviews] == [ReviewStatus.OPEN, ReviewStatus.OPEN]
    assert list(world.state.episodes) == [EPISODE]
    world.take(decide(world.reviews[-1], Decision.REJECT, DAYS_90 + 100)).pass_time(DAYS_90 + 124)
    assert world.reviews[-1].status is ReviewStatus.REJECTED
    assert not world.state.episodes, "and one that was rejected does not"


def test_whoever_is_in_custody_is_never_put_away_and_a_voided_booking_is() -> None:
    assert World().take(booked).pass_time(10 * DAYS_90).state.episodes
    assert not World().take(booked, fact(Voided, 1, voids_event=booked.event_id)).pass_time(10 * DAYS_90).state.episodes


def test_the_clock_of_a_partition_never_goes_back() -> None:
    world = World().take(detainer(), booked, scheduled).pass_time(2000)
    world.take(fact(ReleaseScheduled, 6, scheduled_for=at(TUESDAY + 12)))
    assert world.state.clock == at(2000)
    world.now = at(0)
    world.take(fact(Escaped, 7), fact(Returned, 8))
    assert world.state.clock == at(2000)
    assert [stage for _, stage in world.stages()[-3:]] == [
        Stage.HOLD_EXPIRED,
        Stage.RELEASE_SCHEDULED,
        Stage.HOLD_EXPIRED,
    ]
