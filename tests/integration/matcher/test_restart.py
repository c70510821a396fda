"""G1 to G3 on a real Kafka: the matcher is killed at any moment while events and detainers come in any order.

A committed reader sees each conflict version once, without gaps, ending where it must. Other trouble: test_stream.py.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import conflict_id, detainer_id, episode_id
from contracts.types.conflict import Conflict, Stage
from contracts.types.custody import Booked, Charge, CustodyEvent, Released, ReleaseScheduled, Updated
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from contracts.types.person import Identifier, IdentifierKind, Person
from contracts.types.reject import Reject
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.demo.world.people import Population
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo
from tests.integration.matcher.reading import committed
from tests.support.kafka import fresh_topics
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)
FACILITY, AGENCY = "CTHRTFD00", "MAICE0001"
START = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = 300
DETAINED = 60
FAST = {"SALLYPORT_SESSION_TIMEOUT_MS": "3000", "SALLYPORT_FENCED_RETRY_S": "2", "SALLYPORT_PROGRESS_FLUSH_S": "1"}


_population = Population(random.Random(5))
_humans = [_population.draw() for _ in range(PEOPLE)]


def _person(number: int) -> Person:
    human = _humans[number]
    return Person(
        names=human.names(),
        birth_dates=[human.born.isoformat()],
        sex=human.sex,
        identifiers=[Identifier(kind=IdentifierKind.SID, value=f"55{number:05}", issuer="CT")],
    )


def _life(number: int) -> list[CustodyEvent]:
    """A booking, a scheduled release, a release; every fifth person is handed to the agency that lodged."""
    booked = START + timedelta(minutes=20 * number)  # no faster, or the breaker stops the feed (rule 19)
    booking = f"B{number}"
    return [
        Booked(facility=FACILITY, booking_number=booking, occurred_at=booked, person=_person(number)),
        ReleaseScheduled(
            facility=FACILITY,
            booking_number=booking,
            occurred_at=booked + timedelta(days=1),
            scheduled_for=booked + timedelta(days=2),
        ),
        Released(
            facility=FACILITY,
            booking_number=booking,
            occurred_at=booked + timedelta(days=2),
            released_to=AGENCY if number % 5 == 0 else None,
        ),
    ]


def _detainer(number: int) -> Detainer:
    reference = f"D{number}"
    return Detainer(
        detainer_id=detainer_id(AGENCY, reference),
        agency=AGENCY,
        agency_reference=reference,
        type=DetainerType.IMMIGRATION,
        intent=Intent.HOLD,
        state=DetainerState.ACTIVE,
        person=_person(number),
        lodged_at=START - timedelta(days=1),
        occurred_at=START - timedelta(days=1),
        accepted_at=datetime.now(UTC),
    )


class Feed:
    """Writes the detainers and the lives as ingest would: half of the detainers first, the rest in a seeded order, with
    repeats."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        self._bootstrap = bootstrap
        rng = random.Random(seed)
        events = [(number, index, event) for number in range(PEOPLE) for index, event in enumerate(_life(number))]
        rng.shuffle(events)  # releases before bookings among them (rule 7)
        self._inputs: list[tuple[int, int, CustodyEvent] | Detainer] = [_detainer(n) for n in range(0, DETAINED, 2)]
        late: list[tuple[int, int, CustodyEvent] | Detainer] = [_detainer(n) for n in range(1, DETAINED, 2)]
        self._inputs += sorted([*events, *events[:100], *late], key=lambda _: rng.random())

    async def run(self, during: Callable[[float], None], pace_s: float = 0.004) -> None:
        """Send everything, paced, so that what happens to the matcher happens in the middle. `during` is told which
        share is sent."""
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True)
        await producer.start()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            for count, given in enumerate(self._inputs):
                await asyncio.sleep(max(0.0, begin + count * pace_s - loop.time()))
                await _send(producer, given)
                if count % 50 == 0:
                    await asyncio.to_thread(during, count / len(self._inputs))
                    begin = loop.time() - count * pace_s
            await producer.flush()
        finally:
            await producer.stop()


async def _send(producer: AIOKafkaProducer, given: tuple[int, int, CustodyEvent] | Detainer) -> None:
    if isinstance(given, Detainer):
        await producer.send("detainers.v1", key=given.detainer_id.encode(), value=msgspec.json.encode(given))
        return
    number, index, event = given
    key = episode_id(event.facility, event.booking_number).encode()
    # Accepted now: what time brings about is not told of a fact so new, and no episode is put away.
    now = datetime.now(UTC)
    attributes = Attributes(f"ev-{number}-{index}", "test-jms", "sallyport.custody.v1", event.occurred_at, now)
    await producer.send(
        "custody.events.v1", key=key, value=msgspec.json.encode(event), headers=encode_headers(attributes)
    )


EXPECTED = {
    conflict_id(detainer_id(AGENCY, f"D{n}"), episode_id(FACILITY, f"B{n}")): (
        Stage.CLOSED if n % 5 == 0 else Stage.RELEASED
    )
    for n in range(DETAINED)
}


def finals(versions: list[Conflict]) -> dict[str, Stage]:
    """The newest stage of each conflict, after a check that its versions are 1, 2, … n, each once and in order."""
    seen: dict[str, list[Conflict]] = {}
    for conflict in versions:
        seen.setdefault(conflict.conflict_id, []).append(conflict)
    for name, got in seen.items():
        assert [c.version for c in got] == list(range(1, len(got) + 1)), name
    return {name: got[-1].stage for name, got in seen.items()}


def assert_settles(bootstrap: str) -> None:
    """The conflicts reach what the feed's script says; then nothing is missing, repeated or extra."""

    def settled() -> bool:
        return finals([msgspec.json.decode(v, type=Conflict) for v in committed(bootstrap)]) == EXPECTED

    assert wait_until(settled, seconds=120, every_s=0.5), finals(
        [msgspec.json.decode(v, type=Conflict) for v in committed(bootstrap)]
    )
    assert committed(bootstrap, "reviews.v1") == [], "no two of these people are alike"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with ProcessGroup(tmp_path) as processes:
        yield processes


@pytest.fixture
def bootstrap(stack: StackInfo) -> str:
    fresh_topics(stack.kafka_bootstrap_servers)
    return stack.kafka_bootstrap_servers


def _matcher(group: ProcessGroup, stack: StackInfo, name: str = "matcher") -> ServiceProcess:
    matcher = group.service("matcher", {**stack.environ(), **FAST}, name=name)
    matcher.start()
    matcher.wait_ready()
    return matcher


async def test_kill_nine_at_any_moment(bootstrap: str, stack: StackInfo, group: ProcessGroup) -> None:
    matcher = _matcher(group, stack)
    rng = random.Random(4)
    kills = sorted(rng.uniform(0.05, 0.95) for _ in range(5))

    def during(share: float) -> None:
        if kills and share >= kills[0]:
            kills.pop(0)
            matcher.kill()
            matcher.start()
            matcher.wait_ready()  # else the next one meets a process that is not there yet

    await Feed(bootstrap, seed=1).run(during)
    assert [event["event"] for event in matcher.log_events()].count("started") == matcher.starts == 6
    assert_settles(bootstrap)
    assert matcher.terminate() == 0


async def test_what_cannot_be_read_is_kept_and_the_rest_goes_on(
    bootstrap: str, stack: StackInfo, group: ProcessGroup
) -> None:
    matcher = _matcher(group, stack)
    garbage = [b"\xff\xfe not json", b'{"kind":"released"}', b""]
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for raw in garbage:
            await producer.send("custody.events.v1", key=b"x", value=raw, headers=[("ce_id", b"\xff\xfe")])
        await producer.send("detainers.v1", key=b"x", value=garbage[0])
    finally:
        await producer.stop()
    await Feed(bootstrap, seed=5).run(lambda _: None, pace_s=0.0)
    await asyncio.to_thread(assert_settles, bootstrap)

    def rejected() -> list[bytes]:
        return sorted(msgspec.json.decode(v, type=Reject).raw for v in committed(bootstrap, "rejects.v1"))

    assert wait_until(lambda: rejected() == sorted([*garbage, garbage[0]]), seconds=60, every_s=0.5), rejected()
    assert matcher.terminate() == 0


async def test_a_booking_of_too_many_facts_ends_all_the_same(
    bootstrap: str, stack: StackInfo, group: ProcessGroup
) -> None:
    """A feed repeats itself under new ids, twice what an episode has room for; the release comes last."""
    matcher = _matcher(group, stack)
    booked, _, released = _life(1)
    charges = [Charge(code="A" * 100, description="A" * 199)] * 100
    clutter = [
        Updated(facility=FACILITY, booking_number="B1", occurred_at=booked.occurred_at, sequence=n, charges=charges)
        for n in range(60)
    ]
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await _send(producer, _detainer(1))
        for index, event in enumerate([booked, *clutter, released]):
            await _send(producer, (1, index, event))

    def stages() -> list[Stage]:
        return [msgspec.json.decode(raw, type=Conflict).stage for raw in committed(bootstrap)]

    await asyncio.to_thread(wait_for, lambda: stages()[-1:] == [Stage.RELEASED], lambda: f"told: {stages()}")
    codes = {msgspec.json.decode(raw, type=Reject).code for raw in committed(bootstrap, "rejects.v1")}
    assert codes == {"episode_too_large"}
    matcher.kill()
    matcher.start()
    matcher.wait_ready()  # it is restored from the large record
    assert matcher.terminate() == 0
