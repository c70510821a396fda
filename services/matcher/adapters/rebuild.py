"""custody.state.v1 made anew from what the other topics have: facts from custody.events.v1, versions from conflicts.v1
and reviews.v1. One partition at a time, in memory; the matcher must not run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from contracts.types.conflict import Conflict, Review
from contracts.types.notice import Notice
from services.matcher.adapters.changelog import (
    PROGRESS_KEY,
    STATE_TOPIC,
    Progress,
    encode_parts,
    encode_progress,
)
from services.matcher.adapters.ownership import CUSTODY_TOPIC
from services.matcher.adapters.records import CONFLICTS_TOPIC, REVIEWS_TOPIC, custody_input_of
from services.matcher.adapters.writer import KafkaStateLog
from services.matcher.domain.episode import Episode
from services.matcher.domain.partition import BEGINNING, Pair
from services.matcher.domain.rebuilt import Published, pair_of, published
from services.matcher.settings import MatcherSettings
from services.platform.errors import ContractViolation, GroupInUse, SallyportError
from services.platform.kafka.clients import client_options, make_consumer
from services.platform.kafka.doors import explained
from services.platform.kafka.outlets import OutRecord
from services.platform.kafka.partitions import assign_all

__all__ = ["Known", "Rebuilt", "StateNotEmpty", "rebuild"]

_BATCH: Final = 500
_conflict: Final = msgspec.json.Decoder(Conflict).decode
_review: Final = msgspec.json.Decoder(Review).decode
_notice: Final = msgspec.json.Decoder(Notice).decode


class StateNotEmpty(SallyportError):
    """There is a state: built anew over it, it would be neither the one nor the other."""

    code = "state_not_empty"
    alert = False


class Rebuilt(msgspec.Struct):
    """One partition: how many events were read, how many are refused as before, episodes and pairs written."""

    partition: int
    events: int = 0
    refused: int = 0
    episodes: int = 0
    pairs: int = 0


class Known:
    """The newest version of every conflict and review that was published, by episode and detainer."""

    def __init__(self) -> None:
        self._conflicts: dict[str, dict[str, Published]] = {}
        self._reviews: dict[str, dict[str, Review]] = {}

    def take(self, record: ConsumerRecord) -> None:
        """A record of conflicts.v1 or reviews.v1. Raises ValueError (msgspec's errors are such)."""
        if record.topic == CONFLICTS_TOPIC:
            self.told(published(_conflict(record.value or b"")))
        elif record.value is not None:
            self.review(_review(record.value))

    def told(self, found: Published) -> None:
        of_episode = self._conflicts.setdefault(found.episode_id, {})
        before = of_episode.get(found.detainer_id)
        if before is None or before.version < found.version:
            of_episode[found.detainer_id] = found

    def review(self, found: Review) -> None:
        of_episode = self._reviews.setdefault(found.custody_side.record, {})
        before = of_episode.get(found.detainer.detainer_id)
        if before is None or before.version < found.version:
            of_episode[found.detainer.detainer_id] = found

    def line(self, raw: bytes) -> None:
        """A line of the notifier's ledger: the body of a notice, or of a review. Raises ContractViolation."""
        try:
            if b'"review_id"' in raw:
                self.review(_review(raw))
            else:
                self.told(published(_notice(raw).data))
        except (msgspec.DecodeError, ValueError) as error:
            raise ContractViolation("ledger_line_invalid", f"neither a notice nor a review: {error}") from None

    def pairs(self, episode_id: str) -> dict[str, Pair]:
        """What was published of the episode, by detainer."""
        conflicts, reviews = self._conflicts.get(episode_id, {}), self._reviews.get(episode_id, {})
        return {name: pair_of(conflicts.get(name), reviews.get(name)) for name in sorted({*conflicts, *reviews})}


async def rebuild(
    settings: MatcherSettings,
    ledger: Iterable[bytes] = (),
    *,
    done: Callable[[Rebuilt], None] = lambda _: None,
    left_out: Callable[[ConsumerRecord], None] = lambda _: None,
) -> list[Rebuilt]:
    """Write custody.state.v1, which must be empty. ledger: lines as `Known.line` takes them. done: after a partition.
    left_out: is given what was published and cannot be read.

    Raises:
        StateNotEmpty, GroupInUse: nothing was written.
        ContractViolation: a line of `ledger` is neither a notice nor a review; nothing was written.
        ConfigurationError: there is no such topic. BrokerUnavailable: no answer, or Kafka is shut (`doors`); what was
            written has to be deleted.
    """
    try:
        await _check_unused(settings)
        async with _reading(settings, STATE_TOPIC) as (consumer, partitions):
            if any((await consumer.end_offsets(partitions)).values()):
                raise StateNotEmpty(f"{STATE_TOPIC} has records: delete the topic, and `sallyport topics apply`")
        known = Known()
        for line in ledger:
            known.line(line)
        for topic in (CONFLICTS_TOPIC, REVIEWS_TOPIC):
            async for record in _records(settings, topic):
                try:
                    known.take(record)
                except (msgspec.DecodeError, ValueError):
                    left_out(record)
        built: list[Rebuilt] = []
        async with _reading(settings, CUSTODY_TOPIC) as (_, partitions):
            numbers = [partition.partition for partition in partitions]
        for number in numbers:
            built.append(await _partition(settings, number, known))
            done(built[-1])
        return built
    except (KafkaError, OSError) as error:
        raise await explained(settings, error, "the state could not be built") from error


async def _partition(settings: MatcherSettings, number: int, known: Known) -> Rebuilt:
    built, next_offset, clock = Rebuilt(number), 0, BEGINNING
    episodes: dict[str, Episode] = {}
    async for record in _records(settings, CUSTODY_TOPIC, number):
        next_offset, built.events = record.offset + 1, built.events + 1
        try:
            given = custody_input_of(record)
        except ContractViolation:  # is in rejects.v1 since it was first read, as what finds no room below
            built.refused += 1
            continue
        episode = episodes.get(given.episode_id)
        if episode is None:
            event = given.fact.event
            episode = episodes[given.episode_id] = Episode(event.facility, event.booking_number, given.episode_id)
        if not episode.has_room(given.fact):
            built.refused += 1
            continue
        episode.add(given.fact)
        clock = max(clock, given.fact.accepted_at)
    records: list[OutRecord] = []
    for name, episode in episodes.items():
        pairs = known.pairs(name)
        records.append(OutRecord(STATE_TOPIC, name.encode(), encode_parts(episode, pairs), (), number))
        built.episodes, built.pairs = built.episodes + 1, built.pairs + len(pairs)
    if built.events:
        await _write(settings, number, records, next_offset, clock)
    return built


async def _write(
    settings: MatcherSettings, number: int, records: list[OutRecord], next_offset: int, clock: datetime
) -> None:
    """The progress last. What is seen of detainers and decisions is left empty: all are judged again, and so is who
    everybody is, since the model that judged them is not known."""
    progress = encode_progress(Progress(custody=next_offset, clock=clock))
    writer = KafkaStateLog(settings, settings.group_id).writer(number)
    await writer.start()
    try:
        for first in range(0, len(records), _BATCH):
            await writer.publish(records[first : first + _BATCH])
        await writer.publish([OutRecord(STATE_TOPIC, PROGRESS_KEY, progress, (), number)])
    finally:
        await writer.stop()


async def _check_unused(settings: MatcherSettings) -> None:
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([settings.group_id])
        for error_code, _, _, _, _, members, *_ in answer.groups:  # of DescribeGroups, version 0 and later
            if error_code:  # which aiokafka hands on: a coordinator that is loading knows of no members
                raise for_code(error_code)
            if members:
                raise GroupInUse(f"{settings.group_id} has members: stop every matcher first")
    finally:
        await admin.close()


@asynccontextmanager
async def _reading(
    settings: MatcherSettings, topic: str, number: int | None = None
) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
    """A consumer of all partitions of the topic, or of one, at their beginning."""
    consumer = make_consumer(settings, fetch_max_wait_ms=50, max_partition_fetch_bytes=8 * 1024 * 1024)
    try:
        await consumer.start()
        partitions = await assign_all(consumer, topic)
        if number is not None:
            partitions = [partition for partition in partitions if partition.partition == number]
            consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer, partitions
    finally:
        await consumer.stop()


async def _records(settings: MatcherSettings, topic: str, number: int | None = None) -> AsyncIterator[ConsumerRecord]:
    """Every committed record up to the ends as they are now."""
    async with _reading(settings, topic, number) as (consumer, partitions):
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                for records in (await consumer.getmany(partition, timeout_ms=200)).values():
                    for record in records:
                        yield record
