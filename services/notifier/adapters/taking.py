"""Taking records from Kafka into PostgreSQL, at least once: offsets are committed when the database has them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar, Final, Generic, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from contracts.traceparent import traceparent_of
from services.notifier.adapters.postgres.pool import AWAY
from services.platform import tracing
from services.platform.errors import ContractViolation
from services.platform.kafka.batches import Records
from services.platform.kafka.outlets import Outlet
from services.platform.kafka.rejects import unreadable
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS
from services.platform.tracing import Kind, Span, Value

__all__ = ["LARGEST_VERSION", "Taken", "Taking"]

log = get_logger(__name__)
LARGEST_VERSION: Final = 2**31 - 1
"""What a column of PostgreSQL has room for. Left to it to refuse, one larger version would stop its partition."""
_AGAIN_S = 0.5
Item = TypeVar("Item")


class Taken(Struct, Generic[Item], frozen=True):
    """What a record holds, and the span of taking it."""

    item: Item
    span: Span


class Taking(ABC, Generic[Item]):
    """Handler of one topic. waiting: for the database, which a restart would not bring back.

    A batch is repeated, without an end, while the database is away: nothing after it is taken meanwhile. Repeating
    changes nothing that is there already. reason: code in rejects.v1 of a record that cannot be read.
    """

    reason: ClassVar[str]

    def __init__(self, consumer: Callable[[], AIOKafkaConsumer | None], rejects: Outlet) -> None:
        self._consumer = consumer
        self._rejects = rejects
        REJECTS.labels(self.reason)  # from 0 on: a burst after a start is an increase
        self.waiting = False
        self._stopping = False

    @abstractmethod
    def readable(self, record: ConsumerRecord) -> Item:
        """What the record holds.

        Raises ValueError (msgspec's errors are such): it is not of the contract, or the database has no room for it.
        """

    @abstractmethod
    def about(self, item: Item) -> dict[str, Value]:
        """Attributes of its span."""

    @abstractmethod
    async def write(self, taken: list[Taken[Item]]) -> None:
        """Put a batch into the database, all of it or nothing. Raises one of AWAY."""

    def stop(self) -> None:
        """Take and commit nothing more; a batch that waits for the database is left to the next process."""
        self._stopping = True

    async def handle(self, records: Records) -> None:
        if self._stopping:
            return
        taken: list[Taken[Item]] = []
        for record in records:
            try:
                item = self.readable(record)
            except (msgspec.DecodeError, ValueError) as error:
                await self._reject(record, str(error)[:500])
            else:
                taken.append(Taken(item, self._begin(record, item)))
        if await self._written(taken):
            for one in taken:
                one.span.end()
            await self._commit(records)

    def _begin(self, record: ConsumerRecord, item: Item) -> Span:
        parent = traceparent_of(record.headers)
        if not tracing.is_on():
            return Span(parent)
        about = self.about(item) | {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
        }
        return tracing.begin(f"process {record.topic}", Kind.CONSUMER, parent, about)

    async def _written(self, taken: list[Taken[Item]]) -> bool:
        """False: the end came before the database did; not committed, and nothing after it will be."""
        while True:
            try:
                await self.write(taken)
                self.waiting = False
                return True
            except AWAY as error:
                self.waiting = True
                log.warning("database_away", error=type(error).__name__, count=len(taken))
                if self._stopping:
                    return False
                await asyncio.sleep(_AGAIN_S)

    async def _reject(self, bad: ConsumerRecord, detail: str) -> None:
        violation = ContractViolation(self.reason, detail)
        errors = await self._rejects.send([unreadable(bad, violation, "notifier", datetime.now(UTC))])
        if errors[0] is not None:
            raise errors[0]  # not kept: the batch is not committed, and comes again after the restart
        REJECTS.labels(violation.reason).inc()
        log.error(violation.reason, topic=bad.topic, partition=bad.partition, offset=bad.offset)

    async def _commit(self, records: Records) -> None:
        consumer = self._consumer()
        done: dict[TopicPartition, int] = {}
        for r in records:
            done[TopicPartition(r.topic, r.partition)] = r.offset + 1
        if consumer is None:
            return
        try:
            await consumer.commit(done)
        except KafkaError as error:
            # A rebalance or a broker away: whoever has the partition next reads the batch again, to no effect.
            log.warning("offsets_not_committed", error=type(error).__name__)
