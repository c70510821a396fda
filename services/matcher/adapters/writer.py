"""What a lane writes to and is restored from: the transactional writer of one partition, and its changelog.

One transactional id a partition: starting the writer fences every earlier holder, so that an instance that lost
its partition, and does not know it yet, cannot publish any more (G3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced
from aiokafka.structs import RecordMetadata

from services.matcher.adapters.changelog import STATE_TOPIC
from services.platform.errors import BrokerUnavailable, Fenced
from services.platform.kafka.clients import make_consumer, make_producer
from services.platform.kafka.doors import refusal
from services.platform.kafka.outlets import OutRecord
from services.platform.settings import PlatformSettings

__all__ = ["KafkaStateLog", "PartitionWriter", "StateLog", "Writer"]


_CLOSE_S: Final = 1.0


class Writer(Protocol):
    """Publishes everything of one transaction, or nothing of it."""

    async def start(self) -> None:
        """Fence whoever held the partition before. Raises Unavailable."""

    async def stop(self) -> None:
        """Close; a transaction that is open is aborted by the next holder."""

    async def publish(self, records: Sequence[OutRecord]) -> int:
        """Commit `records` as one transaction; returns the offset after the last one on the state partition.

        Raises:
            Fenced: another instance holds the partition.
            Unavailable: it is not known to be committed; the state in memory must not be used any more.
        """


class StateLog(Protocol):
    """Where the state of partitions is kept. The tests' simulation has one of its own."""

    def writer(self, partition: int) -> Writer:
        """The writer of a partition, not started."""

    async def read(self, partition: int, start: int) -> tuple[dict[bytes, bytes | None], int]:
        """The newest committed record of each key from offset `start` on, and the offset up to which was read.

        Call it after the writer has started: then no earlier holder can add to what is read. Raises Unavailable.
        """


class KafkaStateLog:
    """custody.state.v1."""

    def __init__(self, settings: PlatformSettings, group_id: str) -> None:
        self._settings = settings
        self._group_id = group_id

    def writer(self, partition: int) -> Writer:
        return PartitionWriter(self._settings, f"{self._group_id}-{partition}")

    async def read(self, partition: int, start: int) -> tuple[dict[bytes, bytes | None], int]:
        return await _read(self._settings, partition, start)


class PartitionWriter:
    """A writer that is a transactional producer."""

    def __init__(self, settings: PlatformSettings, transactional_id: str) -> None:
        self._transactional_id = transactional_id
        self._producer: AIOKafkaProducer = make_producer(
            settings, transactional_id=transactional_id, max_batch_size=512 * 1024, retry_backoff_ms=10
        )
        self._timeout_s = 3 * settings.kafka_request_timeout_ms / 1000

    async def start(self) -> None:
        try:
            await asyncio.wait_for(self._producer.start(), self._timeout_s)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._producer.stop()
            what = f"the writer {self._transactional_id} cannot start"
            raise refusal(error, what) or BrokerUnavailable(f"{what}: {type(error).__name__}") from error

    async def stop(self) -> None:
        try:
            await asyncio.wait_for(self._producer.stop(), _CLOSE_S)
        except (KafkaError, OSError, TimeoutError):
            # With the broker away aiokafka waits for what it has not sent, which must not be sent any more.
            self._producer._sender.sender_task.cancel()
            await self._producer.client.close()

    async def publish(self, records: Sequence[OutRecord]) -> int:
        try:
            return await asyncio.wait_for(self._publish(records), self._timeout_s)
        except ProducerFenced as error:
            raise Fenced("another instance holds this partition") from error
        except (KafkaError, TimeoutError, OSError) as error:
            what = f"the transaction of {self._transactional_id} did not commit"
            raise refusal(error, what) or BrokerUnavailable(f"{what}: {type(error).__name__}") from error

    async def _publish(self, records: Sequence[OutRecord]) -> int:
        producer = self._producer
        await producer.begin_transaction()
        acknowledged: list[asyncio.Future[RecordMetadata]] = []
        errors: list[BaseException] = []
        try:
            for r in records:
                sent = await producer.send(r.topic, key=r.key, value=r.value, headers=r.headers, partition=r.partition)
                acknowledged.append(sent)
        except IllegalOperation as refused:
            # The transaction has failed before all was sent; why, the records before say.
            errors.append(KafkaError(str(refused)))
        # Before the commit: a batch that aiokafka gives up (no leader for as long as a request may take) does not keep
        # it from committing the rest, and what is written down would not be what was published (docs/adr/0017).
        if acknowledged:
            await asyncio.wait(acknowledged)
        errors[:0] = [error for future in acknowledged if (error := future.exception()) is not None]
        if errors:
            raise next((error for error in errors if isinstance(error, ProducerFenced)), errors[0])
        await producer.commit_transaction()
        offsets: list[int] = [
            future.result().offset
            for record, future in zip(records, acknowledged, strict=True)
            if record.topic == STATE_TOPIC
        ]
        return max(offsets) + 1


async def _read(settings: PlatformSettings, partition: int, start: int) -> tuple[dict[bytes, bytes | None], int]:
    consumer = make_consumer(settings, fetch_max_wait_ms=50, max_partition_fetch_bytes=8 * 1024 * 1024)
    tp = TopicPartition(STATE_TOPIC, partition)
    newest: dict[bytes, bytes | None] = {}
    try:
        await consumer.start()
        consumer.assign([tp])
        end: int = (await consumer.end_offsets([tp]))[tp]
        beginning: int = (await consumer.beginning_offsets([tp]))[tp]
        consumer.seek(tp, max(start, beginning))
        position = max(start, beginning)
        while position < end:
            for records in (await consumer.getmany(tp, timeout_ms=200)).values():
                for record in records:
                    newest[record.key] = record.value
            position = await consumer.position(tp)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"custody.state.v1/{partition} cannot be read: {type(error).__name__}") from error
    finally:
        await consumer.stop()
    return newest, position
