"""Releases that arrive together wait until the tallies have gone round, and for nothing longer (docs/lifecycle.md)."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from contracts.types.conflict import RetractionReason, Stage
from contracts.types.custody import Released
from contracts.types.detainer import DetainerState
from contracts.types.feed import BreakerState
from services.matcher.domain.partition import BEGINNING
from tests.unit.matcher.jail import PARTITIONS, SECOND, Facility, who
from tests.unit.matcher.people import at, detainer

ROUND = 5 * SECOND
OF_ONE = range(0, 40, PARTITIONS)
"""Those whose bookings are in partition 0; a detainer on each fourth of them."""


def test_of_six_hundred_in_one_batch_a_handful_is_told() -> None:
    """On each of twelve partitions three releases, a sixteenth of fifty people, are none too many."""
    jail = Facility(600, 12).release_at_once(range(600), 10)
    (breaker,) = jail.breakers
    assert (breaker.releases, breaker.population) == (600, 600)
    assert 0 < jail.told_released() <= 36, "at most three on each partition"
    assert jail.told_released() == 9, "a detainer on each fourth"
    assert jail.held() == 150 - 9
    assert jail.pass_time(34).told_released() == 9, "the rest waits for the operator"
    jail.decide(BreakerState.RELEASED, 34)
    assert jail.told_released() == 150
    assert len([c for c in jail.conflicts if c.stage is Stage.RELEASED]) == 150, "each once"


def test_batches_in_a_row_are_one_burst() -> None:
    """No single one is a quarter; together they are, and none of the later ones is told."""
    jail = Facility(600, 12).release_at_once(range(100), 10)
    assert not jail.breakers
    first = jail.told_released()
    assert first <= 36
    jail.release_at_once(range(100, 160), 10 + 2 * SECOND)
    assert [b.releases for b in jail.breakers] == [160]
    assert jail.pass_time(11).told_released() == first
    assert jail.held() == 40 - first


def test_a_handful_does_not_wait() -> None:
    jail = Facility(600, 12)
    with jail.at_once():
        jail.release(range(36), 10, 0)
        assert jail.told_released() == 9
    assert jail.held() == 0
    assert not jail.breakers


def test_a_small_jail() -> None:
    """Three of forty on one partition are told, the fourth and fifth wait; five of forty stop nobody."""
    jail = Facility().release_at_once(OF_ONE[:5], 10)
    assert jail.told_released() == 1
    assert jail.held() == 1
    assert jail.pass_time(10 + 0.9 * ROUND).told_released() == 1
    assert jail.pass_time(10 + ROUND).told_released() == 2
    assert jail.held() == 0
    assert not any(state.rounds for state in jail.states)
    assert not jail.breakers


def test_a_new_release_does_not_make_the_others_wait_longer() -> None:
    jail = Facility().release_at_once(OF_ONE[:5], 10)
    jail.release_at_once(OF_ONE[5:9], 10 + 0.8 * ROUND)
    assert jail.told_released() == 1
    assert jail.pass_time(10 + ROUND).told_released() == 2
    assert jail.pass_time(10 + 1.8 * ROUND).told_released() == 3


def test_a_steward_that_is_away_does_not_keep_them() -> None:
    jail = Facility()
    with jail.at_once():
        jail.release(range(40), 10, 0)
        told = jail.told_released()
        assert told < 10
        assert jail.pass_time(10 + 0.9 * ROUND).told_released() == told
        assert jail.pass_time(10 + ROUND).told_released() == 10
    assert jail.breakers, "and the operator is asked all the same"
    assert jail.decide(BreakerState.DISCARDED, 11).told_released() == 0, "what was told is taken back"


def test_a_calm_release_later_the_same_day_does_not_wait() -> None:
    jail = Facility().release_at_once(OF_ONE[:5], 10).pass_time(11)
    jail.release([24], 12)
    assert jail.stages()["B-24"] is Stage.RELEASED


def test_a_retraction_does_not_wait() -> None:
    jail = Facility()
    lifted = msgspec.structs.replace(
        detainer(reference="D-12", who=who(12)), state=DetainerState.LIFTED, occurred_at=at(9), ended_at=at(9)
    )
    with jail.at_once():
        jail.release(OF_ONE[:5], 10, 0)
        assert jail.stages()["B-12"] is Stage.IN_CUSTODY
        jail.lodge(lifted)
        assert jail.conflicts[-1].retraction is RetractionReason.DETAINER_LIFTED
    assert jail.held() == 0
    assert jail.pass_time(12).stages()["B-12"] is Stage.RETRACTED


def test_a_restart_begins_the_round_anew_and_tells_each_once() -> None:
    jail = Facility().release_at_once(OF_ONE[:5], 10).pass_time(10 + 0.8 * ROUND).restart()
    assert jail.pass_time(10 + 1.7 * ROUND).told_released() == 1
    assert jail.pass_time(10 + 1.8 * ROUND).told_released() == 2
    assert len([c for c in jail.conflicts if c.stage is Stage.RELEASED]) == 2
    jail.restart().pass_time(11)
    assert len([c for c in jail.conflicts if c.stage is Stage.RELEASED]) == 2


def test_a_restart_while_the_operator_has_not_decided() -> None:
    jail = Facility().release_at_once(range(40), 10)
    told = jail.told_released()
    assert jail.restart().pass_time(12).told_released() == told
    assert jail.held() == 10 - told
    assert jail.decide(BreakerState.RELEASED, 13).told_released() == 10


def test_in_a_backlog_nothing_is_told_until_its_end_and_a_round_more() -> None:
    """Its clock is that of its events, and runs through a day in a moment."""
    jail = Facility().restart()
    jail.hours = 34
    with jail.at_once():
        for number in OF_ONE[:5]:
            jail.clock = 10
            jail.take(number, jail.fact(number, Released(**jail.of(number), occurred_at=at(10)), 10))
        jail.clock = 11
        corrected = Released(**jail.of(12), occurred_at=at(10), sequence=1)
        jail.take(12, jail.fact(12, corrected, 11, "Released-12-10"))
        assert jail.states[0].began is BEGINNING
        assert jail.told_released() == 1
    jail.clock = None
    assert jail.pass_time(34 + 0.9 * ROUND).told_released() == 1
    assert jail.pass_time(34 + ROUND).told_released() == 2


def test_a_round_of_no_seconds_is_none() -> None:
    jail = Facility()
    jail.ground.feed_terms = msgspec.structs.replace(jail.ground.feed_terms, round=timedelta(0))
    assert jail.release_at_once(OF_ONE[:5], 10).told_released() == 2
