"""What a matcher holds shows in its metrics, and what went to another instance does not."""

from __future__ import annotations

import prometheus_client

from contracts.ids import episode_id
from contracts.types.custody import Booked, Released
from services.matcher.adapters.gauges import Gauges
from services.matcher.domain.episode import Fact
from services.matcher.domain.feeds.book import steward
from services.matcher.domain.fold import evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.inputs import CustodyInput, FeedInput, Tick
from services.matcher.domain.partition import PartitionState
from tests.unit.matcher.people import FACILITY, at, detainer, person
from tests.unit.matcher.world import ENGINE

PARTITIONS = 3
STEWARD = steward(FACILITY, PARTITIONS)


def sample(name: str, **labels: str) -> float | None:
    return prometheus_client.REGISTRY.get_sample_value(name, labels)


class Instance:
    """Owns all partitions, `serving` those of them that are restored; one facility sends."""

    def __init__(self) -> None:
        self.ground = Ground(ENGINE)
        self.states = {p: PartitionState(self.ground, p, PARTITIONS) for p in range(PARTITIONS)}
        self.serving = set(self.states)
        self.gauges = Gauges(
            self.ground,
            states=lambda: {p: self.states[p] for p in self.serving},
            owned=lambda: list(self.states),
            interval_s=5.0,
        )

    def event(self, number: int, event: Booked | Released, hours: float) -> None:
        fact = Fact("jms", f"{type(event).__name__}-{number}", at(hours), event)
        state = self.states[number % PARTITIONS]
        evolve(state, CustodyInput(fact, episode_id(FACILITY, event.booking_number)), at(hours))
        for facility in state.tallies.touched():
            self.ground.feeds.put(number % PARTITIONS, state.tallies.tally(facility))
        for breaker in evolve(self.states[STEWARD], FeedInput(FACILITY), at(hours)).breakers:
            self.ground.breakers.put(breaker)

    def book(self, numbers: range, hours_apart: float = 0.0) -> None:
        for number in numbers:
            when = at(number * hours_apart)
            booked = Booked(facility=FACILITY, booking_number=f"B-{number}", occurred_at=when, person=person())
            self.event(number, booked, number * hours_apart)


def test_a_feed_is_measured_where_its_steward_is_and_only_there() -> None:
    one = Instance()
    one.book(range(12), 0.5)
    one.gauges.look()
    assert sample("sallyport_feed_last_heard_timestamp_seconds", facility=FACILITY) == at(5.5).timestamp()
    assert sample("sallyport_feed_usual_gap_seconds", facility=FACILITY) == 1800
    assert sample("sallyport_feed_silent", facility=FACILITY) == 0
    assert sample("sallyport_feed_in_custody", facility=FACILITY) == 12

    evolve(one.states[STEWARD], Tick(), at(12))
    one.gauges.look()
    assert sample("sallyport_feed_silent", facility=FACILITY) == 1

    one.serving.remove(STEWARD)
    one.gauges.look()
    assert sample("sallyport_feed_silent", facility=FACILITY) is None
    assert sample("sallyport_feed_last_heard_timestamp_seconds", facility=FACILITY) is None
    assert sample("sallyport_matcher_partitions", state="assigned") == PARTITIONS
    assert sample("sallyport_matcher_partitions", state="restored") == PARTITIONS - 1


def test_episodes_of_a_partition_that_left_are_not_counted_twice() -> None:
    one = Instance()
    one.book(range(6))
    one.gauges.look()
    assert [sample("sallyport_matcher_episodes", partition=str(p)) for p in range(PARTITIONS)] == [2, 2, 2]
    one.serving.remove(1)
    one.gauges.look()
    assert [sample("sallyport_matcher_episodes", partition=str(p)) for p in range(PARTITIONS)] == [2, None, 2]


def test_a_breaker_waits_until_an_operator_has_decided() -> None:
    one = Instance()
    one.book(range(30))
    one.gauges.look()
    assert sample("sallyport_matcher_breakers_waiting", facility=FACILITY) is None
    for number in range(20):
        released = Released(facility=FACILITY, booking_number=f"B-{number}", occurred_at=at(1))
        one.event(number, released, 1 + number / 3600)
    one.gauges.look()
    assert sample("sallyport_matcher_breakers_waiting", facility=FACILITY) == 1


def test_indexes_are_measured_by_side() -> None:
    one = Instance()
    one.gauges.look()
    assert sample("sallyport_matcher_index_records", side="episodes") == 0
    empty = sample("sallyport_matcher_index_bytes", side="episodes")
    assert empty is not None
    one.ground.detainers.put(detainer(), 0, 0)
    one.book(range(600))
    one.gauges.look()
    assert sample("sallyport_matcher_index_records", side="detainers") == 1
    assert sample("sallyport_matcher_index_records", side="episodes") == 600
    full = sample("sallyport_matcher_index_bytes", side="episodes")
    assert full is not None
    assert full - empty > 600 * 50
