"""Conflict versions from Kafka into the ledger; the offset is committed when PostgreSQL has them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from contracts.types.common import within_years
from contracts.types.conflict import Conflict
from services.notifier.adapters.postgres.ledger import record
from services.notifier.adapters.postgres.pool import Pool
from services.notifier.adapters.taking import LARGEST_VERSION, Taking
from services.notifier.domain.planning import Plan, plan
from services.notifier.metrics import CONFLICTS
from services.platform.kafka.outlets import Outlet

__all__ = ["Intake", "Ledger", "PostgresLedger"]

_decode = msgspec.json.Decoder(Conflict).decode


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

    async def write(self, items: list[Conflict]) -> None:
        if await self._ledger.record(plan(items), datetime.now(UTC)):
            self._recorded()
        for conflict in items:
            CONFLICTS.labels(conflict.stage).inc()
