"""Conflict versions from Kafka into the ledger; the offset is committed when PostgreSQL has them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from contracts.types.common import within_years
from contracts.types.conflict import Conflict
from services.notifier.adapters.postgres.ledger import Traces, record
from services.notifier.adapters.postgres.pool import Pool
from services.notifier.adapters.taking import LARGEST_VERSION, Taken, Taking
from services.notifier.domain.planning import Plan, plan
from services.notifier.metrics import CONFLICTS
from services.platform.kafka.outlets import Outlet
from services.platform.tracing import Value

__all__ = ["Intake", "Ledger", "PostgresLedger"]

_decode = msgspec.json.Decoder(Conflict).decode


class Ledger(Protocol):
    """Where notices are written to. The tests' simulation has one of its own."""

    async def record(self, plan: Plan, now: datetime, traces: Traces) -> int:
        """Write a batch, all of it or nothing; returns how many deliveries it led to. Raises one of AWAY.

        traces: (conflict id, version) -> traceparent, of those that have one."""


class PostgresLedger:
    """The ledger of postgres/ledger.py."""

    def __init__(self, pool: Callable[[], Pool]) -> None:
        self._pool = pool

    async def record(self, plan: Plan, now: datetime, traces: Traces) -> int:
        return await record(self._pool(), plan, now, traces)


class Intake(Taking[Conflict]):
    """Handler of conflicts.v1. recorded: called when deliveries may have become due."""

    reason = "conflict_unreadable"

    def __init__(
        self,
        ledger: Ledger,
        consumer: Callable[[], AIOKafkaConsumer | None],
        rejects: Outlet,
        *,
        recorded: Callable[[], None],
    ) -> None:
        super().__init__(consumer, rejects)
        self._ledger = ledger
        self._recorded = recorded

    def readable(self, record: ConsumerRecord) -> Conflict:
        conflict = _decode(record.value or b"")
        within_years(decided_at=conflict.decided_at, accepted_at=conflict.cause.accepted_at)
        if conflict.version > LARGEST_VERSION:
            raise ValueError("version: larger than the ledger takes")
        return conflict

    def about(self, item: Conflict) -> dict[str, Value]:
        return {
            "sallyport.conflict_id": item.conflict_id,
            "sallyport.conflict_version": item.version,
            "sallyport.stage": str(item.stage),
            "sallyport.detainer_id": item.detainer.detainer_id,
            "sallyport.episode_id": item.episode.episode_id,
            "sallyport.agency": item.detainer.agency,
            "sallyport.facility": item.episode.facility,
        }

    async def write(self, taken: list[Taken[Conflict]]) -> None:
        traces = {
            (one.item.conflict_id, one.item.version): one.span.traceparent
            for one in taken
            if one.span.traceparent is not None
        }
        if await self._ledger.record(plan([one.item for one in taken]), datetime.now(UTC), traces):
            self._recorded()
        for one in taken:
            CONFLICTS.labels(one.item.stage).inc()
