"""Rosters and Kafka: what the last snapshot said, and all that a new one leads to in one transaction.

One transactional id a facility. Starting its producer fences whoever else posts for this facility, here or in another
instance, and ends what that one left unfinished; only then is the state read. So two posters cannot both compare with
the same state and both publish, and a crash in the middle takes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced

from contracts.ids import episode_id
from services.ingest.adapters.records import event_record, reject_records
from services.ingest.domain.events import Accepted, type_of
from services.ingest.domain.roster.compare import Delta, Head, Known
from services.ingest.settings import IngestSettings
from services.platform.errors import BrokerUnavailable, Unavailable
from services.platform.kafka.clients import make_consumer, make_producer
from services.platform.kafka.lanes import partition_of
from services.platform.kafka.outlets import OutRecord

__all__ = ["STATE_TOPIC", "Compute", "RosterStore", "Stamp", "transactional_id"]

STATE_TOPIC: Final = "roster.state.v1"
_HEAD: Final = "head"
_TRANSACTION_MS: Final = 10_000
"""A transaction left open by a crash holds up the readers of custody.events.v1 until it is ended: by the next post for
this facility, or by Kafka after so many milliseconds."""
_CLOSE_S: Final = 5.0
_encode: Final = msgspec.json.Encoder().encode
_head: Final = msgspec.json.Decoder(Head).decode
_known: Final = msgspec.json.Decoder(Known).decode

Compute = Callable[[Head | None, dict[str, Known]], Delta]


def transactional_id(facility: str) -> str:
    """The one of a facility's rosters; contracts/topics.yaml knows how they begin."""
    return f"sallyport-ingest-roster-{facility}"


class Stamp(msgspec.Struct, frozen=True):
    """What every record of one snapshot carries. edge: where its rejects were refused. traceparent: a valid one."""

    source: str
    now: datetime
    edge: str
    content_type: str | None
    traceparent: str | None = None


class RosterStore:
    """Snapshots of a facility, one after the other."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._locks: dict[str, asyncio.Lock] = {}

    async def take(self, facility: str, stamp: Stamp, compute: Compute) -> Delta:
        """Let `compute` compare with what was said last, and write what it returns. It runs in a thread.

        Raises:
            Refused: from `compute`; nothing is written.
            BrokerUnavailable: not known to be committed; the same snapshot can be sent again.
            Unavailable: another instance took this facility over meanwhile; nothing was written here.
        """
        lock = self._locks.setdefault(facility, asyncio.Lock())
        try:
            async with asyncio.timeout(self._settings.roster_timeout_s), lock:
                return await self._take(facility, stamp, compute)
        except ProducerFenced as error:
            raise Unavailable("another snapshot of this facility came in between: send it again", 1) from error
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"the snapshot is not known to be taken: {type(error).__name__}") from error

    async def _take(self, facility: str, stamp: Stamp, compute: Compute) -> Delta:
        producer = make_producer(
            self._settings,
            transactional_id=transactional_id(facility),
            transaction_timeout_ms=_TRANSACTION_MS,
            max_batch_size=512 * 1024,
            retry_backoff_ms=20,
        )
        try:
            await producer.start()
            partition = partition_of(facility.encode(), len(await producer.partitions_for(STATE_TOPIC)))
            head, known = await self._read(facility, partition)
            delta = await asyncio.to_thread(compute, head, known)
            if delta.head is not None:
                records = await asyncio.to_thread(_records, facility, partition, delta, stamp)
                await _commit(producer, records)
            return delta
        finally:
            await _close(producer)

    async def _read(self, facility: str, partition: int) -> tuple[Head | None, dict[str, Known]]:
        """What was said last, committed. Waits for transactions of other facilities in the same partition."""
        tp = TopicPartition(STATE_TOPIC, partition)
        # The end as a reader of committed records sees it lies before any transaction that is open, and so may lie
        # before records of ours: the real end is needed.
        end = await _real_end(self._settings, tp)
        prefix = f"{facility}/".encode()
        newest: dict[bytes, bytes | None] = {}
        consumer = make_consumer(self._settings, fetch_max_wait_ms=50, max_partition_fetch_bytes=8 * 1024 * 1024)
        try:
            await consumer.start()
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(tp, timeout_ms=200)).values():
                    for record in records:
                        if record.key.startswith(prefix):
                            newest[record.key] = record.value
        finally:
            await consumer.stop()
        raw_head = newest.pop(prefix + _HEAD.encode(), None)
        entries = [_known(value) for value in newest.values() if value is not None]
        return (_head(raw_head) if raw_head is not None else None), {entry.booking: entry for entry in entries}


async def _real_end(settings: IngestSettings, tp: TopicPartition) -> int:
    consumer: AIOKafkaConsumer = make_consumer(settings, isolation_level="read_uncommitted")
    try:
        await consumer.start()
        ends: dict[TopicPartition, int] = await consumer.end_offsets([tp])
        return ends[tp]
    finally:
        await consumer.stop()


def _records(facility: str, partition: int, delta: Delta, stamp: Stamp) -> list[OutRecord]:
    """All that the snapshot leads to: events, rejects, what is known now, and last the head."""
    source, now = stamp.source, stamp.now
    records: list[OutRecord] = []
    for event_id, event in delta.events:
        kind = str(type(event).__struct_config__.tag)
        records.append(event_record(Accepted(event_id, source, type_of(kind), kind, event), now, stamp.traceparent))
    for raw, refused in delta.rejects:
        records += reject_records(
            raw,
            refused,
            source=source,
            edge=stamp.edge,
            now=now,
            content_type=stamp.content_type,
            traceparent=stamp.traceparent,
        )
    for booking, entry in delta.known.items():
        key = f"{facility}/{episode_id(facility, booking)}".encode()
        records.append(OutRecord(STATE_TOPIC, key, _encode(entry) if entry else None, (), partition))
    records.append(OutRecord(STATE_TOPIC, f"{facility}/{_HEAD}".encode(), _encode(delta.head), (), partition))
    return records


async def _commit(producer: AIOKafkaProducer, records: Sequence[OutRecord]) -> None:
    """One transaction; in batches of our own making, since readers of the topics wait while it is open."""
    by_partition: dict[tuple[str, int], list[OutRecord]] = {}
    for record in records:
        partition = record.partition
        if partition is None:
            partition = partition_of(record.key, len(await producer.partitions_for(record.topic)))
        by_partition.setdefault((record.topic, partition), []).append(record)
    await producer.begin_transaction()
    outcomes = await asyncio.gather(
        *(_send(producer, topic, partition, bound) for (topic, partition), bound in by_partition.items()),
        return_exceptions=True,
    )
    if errors := [outcome for outcome in outcomes if isinstance(outcome, BaseException)]:
        # Who goes on sending when the transaction has failed is told that it is not in one; another is told why.
        raise next((e for e in errors if not isinstance(e, IllegalOperation)), KafkaError(str(errors[0])))
    await producer.commit_transaction()


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[OutRecord]) -> None:
    at = 0
    while at < len(records):
        batch = producer.create_batch()
        while at < len(records):
            record = records[at]
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is None:
                break
            at += 1
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))


async def _close(producer: AIOKafkaProducer) -> None:
    """What was not committed is aborted by the next post for this facility, or by Kafka."""
    try:
        await asyncio.wait_for(producer.stop(), _CLOSE_S)
    except (KafkaError, OSError, TimeoutError):
        return
