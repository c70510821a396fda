"""A jail over several partitions that hear of each other's tallies as they do by feed.tallies.v1, driven by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from contracts.ids import episode_id
from contracts.types.conflict import Conflict, Review, Stage
from contracts.types.custody import Booked, CustodyEvent, Released
from contracts.types.detainer import Detainer
from contracts.types.feed import Breaker, BreakerState, FeedStatus
from contracts.types.person import Person
from services.matcher.adapters.changelog import (
    PROGRESS_KEY,
    Progress,
    encode_episode,
    encode_progress,
    encode_watch,
    load,
    watch_key,
)
from services.matcher.domain.episode import Fact
from services.matcher.domain.feeds.book import steward
from services.matcher.domain.feeds.tally import Tally
from services.matcher.domain.fold import Outputs, evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.inputs import BreakerInput, CustodyInput, DetainerInput, FeedInput, Input, Tick
from services.matcher.domain.partition import PartitionState
from tests.unit.matcher.people import FACILITY, at, detainer, person
from tests.unit.matcher.world import ENGINE

__all__ = ["PARTITIONS", "PEOPLE", "SECOND", "Facility", "who"]

PARTITIONS = 3
PEOPLE = 40
SECOND = 1 / 3600


class Facility:
    """So many people in one jail, a detainer on each fourth. What is published is read at once, or `at_once` several
    inputs have been judged; but for what an operator has to do."""

    def __init__(self, people: int = PEOPLE, partitions: int = PARTITIONS) -> None:
        self.partitions = partitions
        self.steward = steward(FACILITY, partitions)
        self.ground = Ground(ENGINE)
        self.states = [PartitionState(self.ground, p, partitions) for p in range(partitions)]
        self.conflicts: list[Conflict] = []
        self.reviews: list[Review] = []
        self.breakers: list[Breaker] = []
        self.statuses: list[FeedStatus] = []
        self.hours = 0.0
        self.clock: float | None = None
        self._unread: list[Breaker] = []
        self._is_read = True
        with self.at_once():
            for number in range(people):
                self.event(number, Booked(**self.of(number), occurred_at=at(0), person=who(number)), 0)
        for number in range(0, people, 4):
            self.lodge(detainer(reference=f"D-{number}", who=who(number)))

    @staticmethod
    def of(number: int) -> dict[str, Any]:
        """The booking of one of them, as an event names it."""
        return {"facility": FACILITY, "booking_number": f"B-{number}"}

    def fact(self, number: int, event: CustodyEvent, hours: float, event_id: str = "") -> Fact:
        return Fact("jms", event_id or f"{type(event).__name__}-{number}-{hours:g}", at(hours), event)

    def event(self, number: int, event: CustodyEvent, hours: float, event_id: str = "") -> None:
        self.pass_time(hours)
        self.take(number, self.fact(number, event, hours, event_id))

    def take(self, number: int, fact: Fact) -> None:
        self.evolve(number % self.partitions, CustodyInput(fact, episode_id(FACILITY, fact.event.booking_number)))

    def lodge(self, found: Detainer) -> None:
        self.ground.detainers.put(found, 0, len(self.ground.detainers))
        for partition in range(self.partitions):
            self.evolve(partition, DetainerInput(found.detainer_id))

    def release(self, numbers: Sequence[int], hours: float, minutes_apart: float = 1) -> Facility:
        for place, number in enumerate(numbers):
            moment = hours + place * minutes_apart / 60
            self.event(number, Released(**self.of(number), occurred_at=at(moment)), moment)
        return self

    def release_at_once(self, numbers: Sequence[int], hours: float) -> Facility:
        """In one batch: nobody hears of it before it is judged whole."""
        self.pass_time(hours)
        with self.at_once():
            return self.release(numbers, hours, 0)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Transactions of all partitions that are committed together, at the end."""
        self._is_read = False
        yield
        self._is_read = True
        self.read()

    def evolve(self, partition: int, given: Input) -> Outputs:
        state = self.states[partition]
        clock = None if self.clock is None else at(self.clock)
        out = evolve(state, given, at(self.hours), clock)
        self.conflicts += out.conflicts
        self.reviews += out.reviews
        self.statuses += out.statuses
        self._unread += out.breakers
        self.breakers += out.breakers
        if self._is_read:
            self.read()
        return out

    def read(self) -> None:
        """What was published since is read, until it leads to nothing more."""
        while True:
            counted = [
                self._put(p, state.tallies.tally(FACILITY))
                for p, state in enumerate(self.states)
                if state.tallies.touched()
            ]
            breakers, self._unread = self._unread, []
            if not any(counted) and not breakers:
                return
            for breaker in breakers:
                self.put(breaker)
            if any(counted):
                self.evolve(self.steward, FeedInput(FACILITY))

    def _put(self, partition: int, tally: Tally) -> bool:
        return self.ground.feeds.put(partition, msgspec.json.decode(msgspec.json.encode(tally), type=Tally))

    def put(self, breaker: Breaker) -> None:
        if self.ground.breakers.put(breaker):
            for partition in range(self.partitions):
                self.evolve(partition, BreakerInput(breaker.facility, breaker.breaker_id))

    def decide(self, state: BreakerState, hours: float) -> Facility:
        """The operator, on the breaker that tripped last."""
        self.pass_time(hours)
        self.put(
            msgspec.structs.replace(
                self.breakers[-1], state=state, decided_at=at(hours), decided_by="operator-1", reason="looked into"
            )
        )
        return self

    def pass_time(self, hours: float) -> Facility:
        """Until then: every timer runs out at its own instant, as a lane sees to it."""
        while (first := self._due(at(hours))) is not None:
            due, partition = first
            self.hours = max(self.hours, (due - at(0)) / timedelta(hours=1))
            self.evolve(partition, Tick())
        self.hours = max(self.hours, hours)
        return self

    def _due(self, by: datetime) -> tuple[datetime, int] | None:
        timers = [(state.timers.next(), partition) for partition, state in enumerate(self.states)]
        return min(((due, partition) for due, partition in timers if due is not None and due <= by), default=None)

    def restart(self) -> Facility:
        """Every partition is restored, from what its changelog has."""
        for partition, old in enumerate(self.states):
            records = {name.encode(): encode_episode(old, name) for name in (*old.episodes, *old.put_away)}
            records |= {watch_key(name): encode_watch(old, name) for name in old.watched}
            records[PROGRESS_KEY] = encode_progress(Progress(clock=old.clock))
            state = self.states[partition] = PartitionState(self.ground, partition, self.partitions)
            load(state, records, Progress())
            state.tallies.restore(self.ground.feeds.of_partition(partition), state.clock)
        return self

    def stages(self) -> dict[str, Stage]:
        """Booking -> the newest stage told of it."""
        return {c.episode.booking_number: c.stage for c in self.conflicts}

    def told_released(self) -> int:
        """Of how many that was told last."""
        return sum(stage is Stage.RELEASED for stage in self.stages().values())

    def held(self) -> int:
        """How many conflicts wait."""
        return sum(len(state.held) for state in self.states)


def who(number: int) -> Person:
    """Somebody; two of them have nothing in common."""
    chance = Random(number)
    surname, given = ("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=9)).capitalize() for _ in range(2))
    born = f"{chance.randint(1950, 2004)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    return person(surname, given, born, sid=f"{number + 1000}")
