"""How large an episode may grow: one record of custody.state.v1, which Kafka has to take (docs/lifecycle.md)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from contracts.catalog import load_topics
from contracts.cloudevents import Attributes, encode_headers
from contracts.types.conflict import Stage
from contracts.types.custody import Booked, Charge, Died, Released, ReleaseScheduled, Returned, Transferred, Updated
from contracts.types.custody import Voided as Void
from contracts.types.reject import Reject
from services.matcher.adapters.changelog import encode_episode
from services.matcher.adapters.traces import Contexts
from services.matcher.adapters.transaction import Transaction
from services.matcher.domain.episode import ROOM, ROOM_WITH_RESERVE, Episode, Fact
from services.matcher.domain.fold import EPISODE_TOO_LARGE
from services.matcher.domain.inputs import CustodyInput
from services.platform.kafka.clients import MAX_RECORD_BYTES
from tests.unit.matcher.histories import FACTS
from tests.unit.matcher.people import BOOKING, FACILITY, START, at, detainer, fact
from tests.unit.matcher.world import EPISODE, World

CHARGES = [Charge(code="A" * 100, description="A" * 199)] * 100
END = fact(Released, 900)


def clutter(number: int, **fields: Any) -> Fact:
    """An update of some 30 kB."""
    return fact(Updated, 1, sequence=number, charges=CHARGES, **fields)


def refused(world: World, given: Fact) -> bool:
    return world.evolve(CustodyInput(given, EPISODE)).refused == EPISODE_TOO_LARGE


def full(*before: Fact) -> World:
    """A detainer, a booking, and updates until one is refused."""
    world = World().take(detainer(), fact(Booked, 0), *before)
    number = 0
    while not refused(world, clutter(number)):
        number += 1
    size = world.state.episodes[EPISODE].size
    assert ROOM - clutter(0).size < size <= ROOM
    return world


def test_a_release_is_taken_and_told_though_there_is_no_room_for_more() -> None:
    world = full()
    assert refused(world, fact(ReleaseScheduled, 800, scheduled_for=at(900), event_id="x" * 40_000))
    assert not refused(world, END)
    assert world.stages()[-1][1] is Stage.RELEASED
    assert not refused(world, fact(Void, 901, voids_event=END.event_id))
    assert world.stages()[-1][1] is Stage.IN_CUSTODY


@pytest.mark.parametrize(("kind", "fields"), [(Died, {}), (Transferred, {"to_facility": "CTMACDGL0"}), (Returned, {})])
def test_so_is_whatever_else_ends_custody_or_begins_it_again(kind: Any, fields: dict[str, Any]) -> None:
    world = full()
    large = fact(kind, 900, event_id="x" * 40_000, **fields)
    assert not refused(world, large)
    assert world.state.episodes[EPISODE].size > ROOM


def test_the_reserve_has_an_end_too() -> None:
    world = full()
    voids = [fact(Void, 900 + n, event_id=f"{n}" + "x" * 40_000, voids_event="e") for n in range(20)]
    assert [refused(world, void) for void in voids] == [False] * 13 + [True] * 7
    assert world.state.episodes[EPISODE].size <= ROOM_WITH_RESERVE


def test_what_is_known_is_not_refused_when_it_comes_again() -> None:
    world = full()
    assert not refused(world, clutter(0))
    older = msgspec.structs.replace(
        clutter(0).event, sequence=-1, charges=[*CHARGES[:-1], Charge(code="A" * 100, description="A" * 200)]
    )
    assert not refused(world, msgspec.structs.replace(clutter(0), event=older))
    shorter = msgspec.structs.replace(clutter(0).event, sequence=10_000, charges=[])
    assert not refused(world, msgspec.structs.replace(clutter(0), event=shorter))
    assert not refused(world, clutter(10_001)), "a correction has made room"


def test_after_a_restore_the_same_is_refused() -> None:
    again = full().restarted()
    assert refused(again, clutter(99))
    assert not refused(again, END)


@given(st.lists(FACTS, min_size=1, max_size=12))
def test_the_size_is_that_of_the_facts_however_they_came(facts: list[Fact]) -> None:
    counted = Episode(FACILITY, BOOKING)
    for one in facts:
        counted.has_room(one)
        counted.add(one)
    kept = Episode(FACILITY, BOOKING)
    for one in counted.facts:
        kept.add(msgspec.json.decode(msgspec.json.encode(one), type=Fact))
    assert counted.size == kept.size == len(msgspec.json.encode(counted.facts)) - 1


def test_what_is_refused_is_kept_with_its_bytes() -> None:
    large = clutter(99)
    value = msgspec.json.encode(large.event)
    headers = tuple(encode_headers(Attributes(large.event_id, large.source, "t", START, START)))
    record = ConsumerRecord("custody.events.v1", 0, 7, 0, 0, EPISODE.encode(), value, None, 0, 0, headers)
    made = Transaction(0, full().state, 0, at(1), behind=False, contexts=Contexts())
    made.judge(record)
    (kept,) = [msgspec.json.decode(r.value or b"", type=Reject) for r in made.records() if r.topic == "rejects.v1"]
    assert (kept.code, kept.raw, made.custody) == (EPISODE_TOO_LARGE, value, 8)


def test_a_full_episode_is_a_record_that_kafka_takes() -> None:
    """With as much again for what was published of it."""
    world = full()
    record = encode_episode(world.state, EPISODE)
    assert record is not None
    assert 2 * (len(record) + ROOM_WITH_RESERVE - ROOM) < MAX_RECORD_BYTES
    limits = {name: spec.max_message_bytes for name, spec in load_topics().items() if spec.max_message_bytes}
    assert limits == dict.fromkeys(("custody.state.v1", "reviews.v1", "rejects.v1"), MAX_RECORD_BYTES)
