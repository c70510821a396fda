"""What every instance reads whole, into the books that all its partitions judge by: one entry for each topic.

A partition remembers up to where it has been judged against each of them (`changelog.Progress.seen`). What it has not
seen when it is restored, and what changes while it serves, becomes inputs of its fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from contracts.types.conflict import ReviewDecision
from contracts.types.detainer import Detainer
from contracts.types.feed import Breaker
from contracts.types.registry import Facility, RegistryRecord
from services.matcher.adapters.records import tally_key_of
from services.matcher.domain.changes import Changes
from services.matcher.domain.feeds.tally import Tally
from services.matcher.domain.ground import Ground
from services.matcher.domain.inputs import BreakerInput, DecisionInput, DetainerInput, FeedInput, Input, PlaceInput
from services.matcher.domain.partition import PartitionState
from services.platform.errors import ContractViolation
from services.platform.registry import REGISTRY_TOPIC

__all__ = ["Broadcast", "Key", "broadcasts"]

Key = Any
"""What names a change in a book; hashable, opaque to everyone but the broadcast."""


class Broadcast(Struct, frozen=True):
    """A topic that every instance reads whole.

    name: short, as progress knows it.
    take: puts a record into the book, and returns the key of what changed, None if nothing did. Raises
        msgspec.DecodeError or ValueError.
    since: keys of what was read at or after these offsets, oldest first.
    as_input: the fold's input for a key.
    concerns: whether a partition has anything to judge a change against.
    unreadable: reason code of a record that is refused.
    counted: progress says how far it is judged; else all of it is looked at anew when the partition is restored.
    awaited: nobody judges a partition before having read as far as its last owner had.
    gone: the key of what a tombstone changed, None if nothing.
    """

    name: str
    topic: str
    take: Callable[[ConsumerRecord, bytes], Key | None]
    since: Callable[[Mapping[int, int]], Sequence[Key]]
    as_input: Callable[[Key], Input]
    concerns: Callable[[Key, PartitionState], bool]
    unreadable: str
    counted: bool = True
    awaited: bool = True
    gone: Callable[[ConsumerRecord], Key | None] = lambda _: None

    def taken(self, record: ConsumerRecord) -> Key | None:
        """Take a record in; the key of what it changed. Raises ContractViolation."""
        if record.value is None:
            return self.gone(record)
        try:
            return self.take(record, record.value)
        except (msgspec.DecodeError, ValueError) as error:
            raise ContractViolation(self.unreadable, str(error)[:500]) from None


_detainer: Final = msgspec.json.Decoder(Detainer).decode
_decision: Final = msgspec.json.Decoder(ReviewDecision).decode
_breaker: Final = msgspec.json.Decoder(Breaker).decode
_registered: Final = msgspec.json.Decoder(RegistryRecord).decode
_tally: Final = msgspec.json.Decoder(Tally).decode


def broadcasts(ground: Ground) -> tuple[Broadcast, ...]:
    """All of them, those first whose changes are few and must not wait."""

    breakers: Changes[tuple[str, str]] = Changes()

    def take_breaker(record: ConsumerRecord, value: bytes) -> Key | None:
        breaker = _breaker(value)
        if not ground.breakers.put(breaker):
            return None
        key = (breaker.facility, breaker.breaker_id)
        breakers.note(key, record.partition, record.offset)
        return key

    places: Changes[str] = Changes()

    def take_place(record: ConsumerRecord, value: bytes) -> Key | None:
        place = _registered(value)
        return moved(record, place.id, place.time_zone) if isinstance(place, Facility) else None

    def lose_place(record: ConsumerRecord) -> Key | None:
        kind, _, facility = (record.key or b"").decode(errors="replace").partition(":")
        return moved(record, facility, None) if kind == "facility" else None

    def moved(record: ConsumerRecord, facility: str, zone: str | None) -> Key | None:
        if not ground.places.put(facility, zone):
            return None
        places.note(facility, record.partition, record.offset)
        return facility

    def take_decision(record: ConsumerRecord, value: bytes) -> Key | None:
        decision = _decision(value)
        changed = ground.decisions.put(decision, record.partition, record.offset)
        return (decision.detainer_id, decision.episode_id) if changed else None

    def take_tally(record: ConsumerRecord, value: bytes) -> Key | None:
        tally = _tally(value)
        return tally.facility if ground.feeds.put(tally_key_of(record, tally), tally) else None

    def take_detainer(record: ConsumerRecord, value: bytes) -> Key | None:
        detainer = _detainer(value)
        changed = ground.detainers.put(detainer, record.partition, record.offset)
        return detainer.detainer_id if changed else None

    return (
        Broadcast(
            name="breakers",
            topic="breakers.v1",
            take=take_breaker,
            since=breakers.since,
            as_input=lambda key: BreakerInput(*key),
            concerns=_has_episodes,
            unreadable="breaker_unreadable",
        ),
        Broadcast(
            name="registry",
            topic=REGISTRY_TOPIC,
            take=take_place,
            since=places.since,
            as_input=PlaceInput,
            concerns=_has_episodes,
            unreadable="registry_record_unreadable",
            awaited=False,  # it may be made anew from its files, and be shorter then
            gone=lose_place,
        ),
        Broadcast(
            name="decisions",
            topic="review.decisions.v1",
            take=take_decision,
            since=ground.decisions.since,
            as_input=lambda pair: DecisionInput(*pair),
            concerns=lambda pair, state: pair[0] in state.pairs.get(pair[1], ()),
            unreadable="review_decision_unreadable",
        ),
        Broadcast(
            name="tallies",
            topic="feed.tallies.v1",
            take=take_tally,
            since=lambda _: ground.feeds.known(),
            as_input=FeedInput,
            concerns=lambda facility, state: state.is_steward(facility),
            unreadable="tally_unreadable",
            counted=False,
        ),
        Broadcast(
            name="detainers",
            topic="detainers.v1",
            take=take_detainer,
            since=ground.detainers.since,
            as_input=DetainerInput,
            concerns=_has_episodes,
            unreadable="detainer_unreadable",
        ),
    )


def _has_episodes(_: Key, state: PartitionState) -> bool:
    return bool(state.episodes)
