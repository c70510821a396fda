"""A feed that releases too many is stopped (rule 19), and one that says nothing is told of: the fold, over several
partitions that hear of each other's tallies as they do by feed.tallies.v1."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from contracts.ids import episode_id
from contracts.types.conflict import Conflict, RetractionReason, Stage
from contracts.types.custody import Booked, Released
from contracts.types.detainer import DetainerState
from contracts.types.feed import Breaker, BreakerState, FeedState, FeedStatus
from contracts.types.person import Person
from services.matcher.adapters.changelog import PROGRESS_KEY, Progress, encode_progress, encode_watch, load, watch_key
from services.matcher.domain.episode import Fact
from services.matcher.domain.feeds.book import steward
from services.matcher.domain.fold import Outputs, evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.inputs import BreakerInput, CustodyInput, DetainerInput, FeedInput, Input, Tick
from services.matcher.domain.partition import PartitionState
from tests.unit.matcher.people import FACILITY, at, detainer, person
from tests.unit.matcher.world import ENGINE

PARTITIONS = 3
PEOPLE = 40
STEWARD = steward(FACILITY, PARTITIONS)


class Facility:
    """Forty people in one jail over three partitions, a detainer on each fourth; whatever is published is read at once,
    but for what an operator has to do."""

    def __init__(self) -> None:
        self.ground = Ground(ENGINE)
        self.states = [PartitionState(self.ground, p, PARTITIONS) for p in range(PARTITIONS)]
        self.conflicts: list[Conflict] = []
        self.breakers: list[Breaker] = []
        self.statuses: list[FeedStatus] = []
        self.hours = 0.0
        for number in range(PEOPLE):
            self.event(number, Booked(**self._of(number), occurred_at=at(0), person=_who(number)), 0)
        for number in range(0, PEOPLE, 4):
            found = detainer(reference=f"D-{number}", who=_who(number))
            self.ground.detainers.put(found, 0, number)
            for partition in range(PARTITIONS):
                self.evolve(partition, DetainerInput(found.detainer_id))

    @staticmethod
    def _of(number: int) -> dict[str, Any]:
        return {"facility": FACILITY, "booking_number": f"B-{number}"}

    def event(self, number: int, event: Booked | Released, hours: float) -> None:
        self.hours = hours
        fact = Fact("jms", f"{type(event).__name__}-{number}-{hours:g}", at(hours), event)
        self.evolve(number % PARTITIONS, CustodyInput(fact, episode_id(FACILITY, event.booking_number)))

    def release(self, numbers: Sequence[int], hours: float, minutes_apart: float = 1) -> Facility:
        for place, number in enumerate(numbers):
            moment = hours + place * minutes_apart / 60
            self.event(number, Released(**self._of(number), occurred_at=at(moment)), moment)
        return self

    def evolve(self, partition: int, given: Input) -> Outputs:
        state = self.states[partition]
        out = evolve(state, given, at(self.hours))
        self.conflicts += out.conflicts
        self.statuses += out.statuses
        for facility in state.tallies.touched():
            tally = msgspec.json.decode(
                msgspec.json.encode(state.tallies.tally(facility)), type=type(state.tallies.tally(facility))
            )
            if self.ground.feeds.put(partition, tally):
                self.evolve(STEWARD, FeedInput(facility))
        for breaker in out.breakers:
            self.breakers.append(breaker)
            self.put(breaker)
        return out

    def put(self, breaker: Breaker) -> None:
        if self.ground.breakers.put(breaker):
            for partition in range(PARTITIONS):
                self.evolve(partition, BreakerInput(breaker.facility, breaker.breaker_id))

    def decide(self, state: BreakerState, hours: float) -> Facility:
        self.hours = hours
        self.put(
            msgspec.structs.replace(
                self.breakers[-1], state=state, decided_at=at(hours), decided_by="operator-1", reason="looked into"
            )
        )
        return self

    def pass_time(self, hours: float) -> Facility:
        for partition, state in enumerate(self.states):
            while (due := state.timers.next()) is not None and due <= at(hours):
                self.hours = max(self.hours, (due - at(0)) / timedelta(hours=1))
                self.evolve(partition, Tick())
        self.hours = hours
        return self

    def stages(self) -> dict[str, Stage]:
        """Booking -> the newest stage told of it."""
        return {c.episode.booking_number: c.stage for c in self.conflicts}

    def told_released(self) -> int:
        return sum(stage is Stage.RELEASED for stage in self.stages().values())


def _who(number: int) -> Person:
    return person(
        f"Fernquist{'abcdefghij'[number // 10]}", f"Talwyn{'abcdefghij'[number % 10]}", sid=f"{number + 1000}"
    )


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
    held = detainer(reference="D-36", who=_who(36))
    lifted = msgspec.structs.replace(held, state=DetainerState.LIFTED, occurred_at=at(11), ended_at=at(11))
    jail.ground.detainers.put(lifted, 0, 1000)
    jail.evolve(36 % PARTITIONS, DetainerInput(lifted.detainer_id))
    assert jail.stages()["B-36"] is Stage.RETRACTED
    assert jail.conflicts[-1].retraction is RetractionReason.DETAINER_LIFTED


def test_the_agency_that_has_the_person_does_not_wait() -> None:
    """Custody assumed closes the conflict, whoever released whom; the others wait on."""
    jail = Facility().release(range(PEOPLE), 10)
    held = detainer(reference="D-36", who=_who(36))
    assumed = msgspec.structs.replace(held, state=DetainerState.CUSTODY_ASSUMED, occurred_at=at(11), ended_at=at(11))
    jail.ground.detainers.put(assumed, 0, 1000)
    jail.evolve(36 % PARTITIONS, DetainerInput(assumed.detainer_id))
    assert jail.stages()["B-36"] is Stage.CLOSED
    assert jail.stages()["B-32"] is Stage.IN_CUSTODY


def test_a_feed_that_catches_up_after_an_outage_is_no_mass_release() -> None:
    """Ten days of releases, all heard of within a minute."""
    jail = Facility()
    for number in range(PEOPLE):
        jail.event(number, Released(**jail._of(number), occurred_at=at(10 + number * 6)), 260 + number / 3600)
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
