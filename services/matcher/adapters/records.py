"""Kafka records to inputs, and outputs to Kafka records."""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka import ConsumerRecord

from contracts.cloudevents import Attributes, decode_headers, encode_headers
from contracts.ids import episode_id
from contracts.types.conflict import Conflict, Review
from contracts.types.custody import CustodyEvent
from contracts.types.feed import Breaker, FeedStatus
from services.matcher.domain.episode import Fact
from services.matcher.domain.feeds.tally import Tally
from services.matcher.domain.inputs import CustodyInput
from services.platform.errors import ContractViolation
from services.platform.kafka.outlets import OutRecord

__all__ = [
    "BREAKERS_TOPIC",
    "CONFLICTS_TOPIC",
    "FEEDS_TOPIC",
    "REVIEWS_TOPIC",
    "TALLIES_TOPIC",
    "breaker_record",
    "conflict_record",
    "custody_input_of",
    "feed_record",
    "review_record",
    "tally_key_of",
    "tally_record",
]

CONFLICTS_TOPIC: Final = "conflicts.v1"
REVIEWS_TOPIC: Final = "reviews.v1"
BREAKERS_TOPIC: Final = "breakers.v1"
FEEDS_TOPIC: Final = "feeds.v1"
TALLIES_TOPIC: Final = "feed.tallies.v1"
SOURCE: Final = "sallyport/matcher"
CUSTODY_UNREADABLE: Final = "custody_event_unreadable"

_encoder = msgspec.json.Encoder()
_events = msgspec.json.Decoder(CustodyEvent)


def custody_input_of(record: ConsumerRecord) -> CustodyInput:
    """The custody event that a record of custody.events.v1 carries.

    Raises:
        ContractViolation: it is not what the contract says, or its key is not that of its booking.
    """
    try:
        attributes = decode_headers(record.headers)
        event = _events.decode(record.value or b"")
    except (msgspec.DecodeError, ValueError) as error:
        raise ContractViolation(CUSTODY_UNREADABLE, str(error)[:500]) from None
    episode = episode_id(event.facility, event.booking_number)
    if record.key != episode.encode():
        # Its partition is not the booking's: another instance may hold the episode, so judging it here would split it.
        raise ContractViolation("key_mismatch", "the record's key is not the episode id of its booking", "key")
    return CustodyInput(Fact(attributes.source, attributes.id, attributes.accepted_at, event), episode)


def conflict_record(conflict: Conflict, traceparent: str | None = None) -> OutRecord:
    attributes = Attributes(
        id=f"{conflict.conflict_id}.{conflict.version}",
        source=SOURCE,
        type=f"sallyport.conflict.{conflict.stage}.v1",
        time=conflict.decided_at,
        accepted_at=conflict.cause.accepted_at,
    )
    return _record(CONFLICTS_TOPIC, conflict.detainer.detainer_id, conflict, attributes, traceparent)


def review_record(review: Review, traceparent: str | None = None) -> OutRecord:
    attributes = Attributes(
        id=f"{review.review_id}.{review.version}",
        source=SOURCE,
        type=f"sallyport.review.{review.status}.v1",
        time=review.decided_at,
        accepted_at=review.cause.accepted_at,
    )
    return _record(REVIEWS_TOPIC, review.review_id, review, attributes, traceparent)


def breaker_record(breaker: Breaker) -> OutRecord:
    name, at = f"{breaker.breaker_id}.{breaker.state}", breaker.tripped_at
    attributes = Attributes(name, SOURCE, f"sallyport.breaker.{breaker.state}.v1", at, at)
    return _record(BREAKERS_TOPIC, breaker.breaker_id, breaker, attributes)


def feed_record(status: FeedStatus) -> OutRecord:
    name, at = f"{status.facility}.{status.at.isoformat()}", status.at
    return _record(
        FEEDS_TOPIC, status.facility, status, Attributes(name, SOURCE, f"sallyport.feed.{status.state}.v1", at, at)
    )


def _record(topic: str, key: str, value: object, attributes: Attributes, traceparent: str | None = None) -> OutRecord:
    return OutRecord(topic, key.encode(), _encoder.encode(value), encode_headers(attributes, traceparent))


def tally_record(tally: Tally, partition: int) -> OutRecord:
    """What a partition of custody.events.v1 counts of a facility."""
    return OutRecord(TALLIES_TOPIC, f"{tally.facility}|{partition}".encode(), _encoder.encode(tally), ())


def tally_key_of(record: ConsumerRecord, tally: Tally) -> int:
    """The partition of custody.events.v1 that a tally is of. Raises ValueError."""
    facility, _, partition = (record.key or b"").decode().rpartition("|")
    if facility != tally.facility:
        raise ValueError("the record's key is not that of its tally")
    return int(partition)
