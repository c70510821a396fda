"""A feed that releases too many is stopped (rule 19), and one that says nothing is told of: the fold."""

from __future__ import annotations

import msgspec
import pytest

from contracts.types.conflict import RetractionReason, Stage
from contracts.types.custody import Released
from contracts.types.detainer import DetainerState
from contracts.types.feed import BreakerState, FeedState
from services.matcher.adapters.changelog import PROGRESS_KEY, Progress, encode_progress, encode_watch, load, watch_key
from services.matcher.domain.feeds.book import steward
from services.matcher.domain.inputs import DetainerInput, Tick
from services.matcher.domain.partition import PartitionState
from tests.unit.matcher.jail import PARTITIONS, PEOPLE, Facility, who
from tests.unit.matcher.people import FACILITY, at, detainer

STEWARD = steward(FACILITY, PARTITIONS)
DETAINED = range(0, PEOPLE, 4)
SOME = [number for number in range(PEOPLE) if number % 4][:5]


def test_an_ordinary_day_stops_nobody() -> None:
    jail = Facility().release(range(20), 10, minutes_apart=90)
    assert not jail.breakers
    assert jail.told_released() == 5


def test_a_mass_release_waits_for_an_operator() -> None:
    jail = Facility().release([*SOME, *range(20, PEOPLE), *range(0, 20, 4)], 10)
    assert [(b.facility, b.state) for b in jail.breakers] == [(FACILITY, BreakerState.TRIPPED)]
    (breaker,) = jail.breakers
    assert breaker.releases == 11, "a quarter of forty may leave, the next one is too many"
    assert breaker.population == PEOPLE
    assert breaker.tripped_at >= breaker.since
    told = jail.told_released()
    assert told < len(DETAINED), "what came before it tripped is told, what came after waits"
    assert jail.pass_time(300).told_released() == told
    assert sum(len(state.held) for state in jail.states) == len(DETAINED) - told


def test_released_by_the_operator_all_is_told() -> None:
    jail = Facility().release(range(PEOPLE), 10).decide(BreakerState.RELEASED, 12)
    assert jail.stages() == {f"B-{number}": Stage.RELEASED for number in DETAINED}
    assert len(jail.breakers) == 1, "the same releases do not trip again"
    assert not any(state.held for state in jail.states)
    assert len([c for c in jail.conflicts if c.stage is Stage.RELEASED]) == len(DETAINED), "and none is told twice"


def test_discarded_by_the_operator_nothing_is_and_what_was_told_is_taken_back() -> None:
    jail = Facility().release(range(PEOPLE), 10)
    assert jail.told_released() > 0
    jail.decide(BreakerState.DISCARDED, 12)
    assert jail.stages() == {f"B-{number}": Stage.IN_CUSTODY for number in DETAINED}


def test_a_release_after_the_decision_is_told() -> None:
    jail = Facility().release(range(PEOPLE), 10).decide(BreakerState.DISCARDED, 12).release([4], 13)
    assert jail.stages()["B-4"] is Stage.RELEASED
    assert len(jail.breakers) == 1


def test_a_detainer_that_is_lifted_meanwhile_is_retracted_at_once() -> None:
    jail = Facility().release(range(PEOPLE), 10)
    assert jail.stages()["B-36"] is Stage.IN_CUSTODY
    held = detainer(reference="D-36", who=who(36))
    lifted = msgspec.structs.replace(held, state=DetainerState.LIFTED, occurred_at=at(11), ended_at=at(11))
    jail.ground.detainers.put(lifted, 0, 1000)
    jail.evolve(36 % PARTITIONS, DetainerInput(lifted.detainer_id))
    assert jail.stages()["B-36"] is Stage.RETRACTED
    assert jail.conflicts[-1].retraction is RetractionReason.DETAINER_LIFTED


def test_the_agency_that_has_the_person_does_not_wait() -> None:
    """Custody assumed closes the conflict, whoever released whom; the others wait on."""
    jail = Facility().release(range(PEOPLE), 10)
    held = detainer(reference="D-36", who=who(36))
    assumed = msgspec.structs.replace(held, state=DetainerState.CUSTODY_ASSUMED, occurred_at=at(11), ended_at=at(11))
    jail.ground.detainers.put(assumed, 0, 1000)
    jail.evolve(36 % PARTITIONS, DetainerInput(assumed.detainer_id))
    assert jail.stages()["B-36"] is Stage.CLOSED
    assert jail.stages()["B-32"] is Stage.IN_CUSTODY


def test_a_feed_that_catches_up_after_an_outage_is_no_mass_release() -> None:
    """Ten days of releases, all heard of within a minute."""
    jail = Facility()
    for number in range(PEOPLE):
        jail.event(number, Released(**jail.of(number), occurred_at=at(10 + number * 6)), 260 + number / 3600)
    assert not jail.breakers
    assert jail.told_released() == len(DETAINED)


def test_silence_is_told_once_and_so_is_its_end() -> None:
    jail = Facility().release(range(20), 1, minutes_apart=30)
    assert not jail.statuses
    jail.pass_time(40)
    assert [(s.facility, s.state) for s in jail.statuses] == [(FACILITY, FeedState.SILENT)]
    assert jail.statuses[0].usual_gap_s == pytest.approx(1800)
    jail.pass_time(60).release([30], 61)
    assert [s.state for s in jail.statuses] == [FeedState.SILENT, FeedState.HEARD]


def test_the_steward_remembers_across_a_restart_and_waits_for_what_it_missed() -> None:
    jail = Facility().release(range(20), 1, minutes_apart=30)
    old = jail.states[STEWARD]
    again = PartitionState(jail.ground, STEWARD, PARTITIONS)
    records = {
        watch_key(FACILITY): encode_watch(old, FACILITY),
        PROGRESS_KEY: encode_progress(Progress(clock=old.clock)),
    }
    load(again, records, Progress())
    jail.states[STEWARD] = again
    jail.hours = 100
    jail.evolve(STEWARD, Tick())
    assert not jail.statuses, "it has just begun: a backlog may be waiting"
    jail.pass_time(100.5)
    assert [s.state for s in jail.statuses] == [FeedState.SILENT]
