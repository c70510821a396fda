"""Conflict versions from Kafka into the ledger; the offset is committed when PostgreSQL has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from contracts.types.common import within_years
from contracts.types.conflict import Conflict
from services.notifier.adapters.postgres.ledger import record
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.notifier.domain.planning import Plan, plan
from services.notifier.metrics import CONFLICTS
from services.platform.errors import ContractViolation
from services.platform.kafka.batches import Records
from services.platform.kafka.outlets import Outlet
from services.platform.kafka.rejects import unreadable
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS

__all__ = ["Intake", "Ledger", "PostgresLedger"]

log = get_logger(__name__)
_decode = msgspec.json.Decoder(Conflict).decode
_AGAIN_S = 0.5
_LARGEST_VERSION = 2**31 - 1


class Ledger(Protocol):
    """Where notices are written to. The tests' simulation has one of its own."""

    async def record(self, plan: Plan, now: datetime) -> int:
        """Write a batch, all of it or nothing; returns how many deliveries it led to. Raises one of AWAY."""


class PostgresLedger:
    """The ledger of postgres/ledger.py."""

    def __init__(self, pool: Callable[[], Pool]) -> None:
        self._pool = pool

    async def record(self, plan: Plan, now: datetime) -> int:
        return await record(self._pool(), plan, now)


class Intake:
    """Handler of conflicts.v1. waiting: for the database, which a restart would not bring back.

    A batch is repeated, without an end, while the database is away: nothing after it is taken meanwhile. Repeating
    changes nothing that is there already.
    """

    def __init__(
        self,
        ledger: Ledger,
        consumer: Callable[[], AIOKafkaConsumer | None],
        rejects: Outlet,
        *,
        recorded: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._consumer = consumer
        self._rejects = rejects
        self._recorded = recorded
        self.waiting = False
        self._stopping = False

    def stop(self) -> None:
        """Take and commit nothing more; a batch that waits for the database is left to the next process."""
        self._stopping = True

    async def handle(self, records: Records) -> None:
        if self._stopping:
            return
        conflicts: list[Conflict] = []
        for kafka_record in records:
            try:
                conflicts.append(_readable(kafka_record.value or b""))
            except (msgspec.DecodeError, ValueError) as error:
                await self._reject(kafka_record, str(error)[:500])
        made = await self._record(conflicts)
        if made is None:
            return  # not committed, and nothing after it will be
        if made:
            self._recorded()
        for conflict in conflicts:
            CONFLICTS.labels(conflict.stage).inc()
        await self._commit(records)

    async def _record(self, conflicts: list[Conflict]) -> int | None:
        """How many deliveries it led to; None: the end came before the database did."""
        planned = plan(conflicts)
        while True:
            try:
                made = await self._ledger.record(planned, datetime.now(UTC))
                self.waiting = False
                return made
            except AWAY as error:
                self.waiting = True
                log.warning("database_away", error=type(error).__name__, count=len(conflicts))
                if self._stopping:
                    return None
                await asyncio.sleep(_AGAIN_S)

    async def _reject(self, bad: ConsumerRecord, detail: str) -> None:
        violation = ContractViolation("conflict_unreadable", detail)
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


def _readable(value: bytes) -> Conflict:
    """The conflict of a record.

    Raises ValueError (msgspec's errors are such): it is none, or holds what the ledger has no room for. Left to
    PostgreSQL to refuse, one such record would stop its partition for good.
    """
    conflict = _decode(value)
    within_years(decided_at=conflict.decided_at, accepted_at=conflict.cause.accepted_at)
    if conflict.version > _LARGEST_VERSION:
        raise ValueError("version: larger than the ledger takes")
    return conflict
