"""The load: 100,000 open detainers, and custody events of which 95 % are of strangers.

The peer joins on exact keys, so the same events are also written keyed by the person's SID, beside the detainers
keyed the same way.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
from aiokafka import AIOKafkaProducer

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import detainer_id, episode_id
from contracts.types.custody import Booked, CustodyEvent, Released
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex

__all__ = ["PEER_LEFT", "PEER_RIGHT", "draw_person", "produce"]

PEER_LEFT, PEER_RIGHT = "bench.custody.by-sid", "bench.detainers.by-sid"
START = datetime(2026, 1, 1, tzinfo=UTC)
_ONSETS = ["Br", "Cl", "D", "F", "Gr", "H", "K", "L", "M", "N", "P", "Qu", "R", "St", "T", "V", "W"]
_ENDS = ["ackle", "enby", "ibbon", "oram", "urdle", "atherin", "ellmoss", "indle", "osterby", "umbrick"]


def _name(rng: random.Random) -> str:
    return f"{rng.choice(_ONSETS)}{rng.choice(_ENDS)}{rng.choice(['', 's', 'ton', 'wick', 'ley'])}"


def draw_person(rng: random.Random, number: int) -> Person:
    """Somebody with a name and a birth date of their own; number: of their SID."""
    born = f"{rng.randint(1950, 2005)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    return Person(
        names=[PersonName(surname=_name(rng), given=_name(rng))],
        birth_dates=[born],
        sex=rng.choice([Sex.MALE, Sex.FEMALE]),
        identifiers=[Identifier(kind=IdentifierKind.SID, value=f"{number:08}", issuer="CT")],
    )


def _detainer(rng: random.Random, number: int) -> Detainer:
    reference = f"BENCH-{number}"
    return Detainer(
        detainer_id=detainer_id("BENCHAGCY", reference),
        agency="BENCHAGCY",
        agency_reference=reference,
        type=DetainerType.OUT_OF_STATE_WARRANT,
        intent=Intent.HOLD,
        state=DetainerState.ACTIVE,
        person=draw_person(rng, number),
        lodged_at=START,
        occurred_at=START,
        accepted_at=START,
    )


async def produce(bootstrap: str, detainers: int, events: int, strangers: float = 0.95, seed: int = 7) -> int:
    """Write the load; returns how many of the events are of people under a detainer."""
    rng = random.Random(seed)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, max_batch_size=256 * 1024)
    await producer.start()
    people: list[Person] = []
    for number in range(detainers):
        detainer = _detainer(rng, number)
        people.append(detainer.person)
        value = msgspec.json.encode(detainer)
        await producer.send("detainers.v1", key=detainer.detainer_id.encode(), value=value)
        await producer.send(PEER_RIGHT, key=_sid(detainer.person), value=value)
    await producer.flush()
    hits = 0
    accepted_at = datetime.now(UTC)
    for number in range(events // 2):
        known = rng.random() >= strangers
        hits += 2 * known
        person = rng.choice(people) if known else draw_person(rng, detainers + number)
        booking = f"BK{number}"
        when = START + timedelta(seconds=number + 1)
        pair: list[CustodyEvent] = [
            Booked(facility="BENCHJAIL", booking_number=booking, occurred_at=when, person=person),
            Released(facility="BENCHJAIL", booking_number=booking, occurred_at=when + timedelta(days=1)),
        ]
        for i, event in enumerate(pair):
            attributes = Attributes(f"bench-{number}-{i}", "bench-jms", "sallyport.custody.v1", when, accepted_at)
            key, value = episode_id("BENCHJAIL", booking).encode(), msgspec.json.encode(event)
            await producer.send("custody.events.v1", key=key, value=value, headers=encode_headers(attributes))
            await producer.send(PEER_LEFT, key=_sid(person), value=value)
    await producer.stop()
    return hits


def _sid(person: Person) -> bytes:
    return person.identifiers[0].value.encode()
