"""A notifier instance: the real Intake, ledger, Dispatcher and Lane over the models of Kafka and PostgreSQL, and those
who are told: endpoints that fail, hang, or take a notice and do not say so."""

from __future__ import annotations

import asyncio
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from services.notifier.adapters.dispatcher import Dispatcher
from services.notifier.adapters.intake import Intake, PostgresLedger
from services.notifier.adapters.postgres.claims import Claimed
from services.notifier.adapters.webhook import Answer
from services.notifier.settings import NotifierSettings
from tests.simulation.clients import GroupConsumer, ModelOutlet
from tests.simulation.postgres import ModelPool
from tests.simulation.service import Service

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["CONFLICTS_TOPIC", "NOTIFIER_GROUP", "Notifier", "Receipt", "Receiver"]

CONFLICTS_TOPIC: Final = "conflicts.v1"
NOTIFIER_GROUP: Final = "sallyport-notifier"


@cache
def _settings() -> NotifierSettings:
    return NotifierSettings.model_validate(
        {
            "allow_plaintext": True,
            "poll_s": 4.0,
            "retry_scale": 0.02,
            "webhook_deadline_s": 3.0,
            "smtp_deadline_s": 3.0,
            "lease_margin_s": 2.0,
        }
    )


class Receipt(Struct, frozen=True):
    """A notice that arrived at an endpoint."""

    target: str
    notice_id: str


class Receiver:
    """All endpoints, by target. bad: share of attempts that go wrong. gone: targets that answer 410."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self.receipts: list[Receipt] = []
        self.bad = 0.0
        self.gone: set[str] = set()

    async def attempt(self, target: str, notice_id: str) -> Answer:
        """One attempt, whatever its channel."""
        rng = self._rng
        await asyncio.sleep(0.005 + 0.1 * rng.random())
        if target in self.gone:
            return Answer(False, 410, "http_410", gone=True)
        draw = rng.random()
        if draw < self.bad / 2:
            self._world.story.count("attempts refused")
            return Answer(False, 503, "http_503", retry_after_s=rng.choice((None, 1.0)))
        self.receipts.append(Receipt(target, notice_id))
        self._world.story.say("receiver", f"{target} has {notice_id[:8]}")
        await asyncio.sleep(0.005 + 0.1 * rng.random())
        if draw < self.bad:
            self._world.story.count("attempts taken, and not answered")
            await asyncio.sleep(2.5)
            return Answer(False, None, "timeout")
        return Answer(True, 200)


class _Webhooks:
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def send(self, target: str, _key: bytes, notice_id: str, _body: bytes) -> Answer:
        return await self._receiver.attempt(target, notice_id)


class _Mail:
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def send(self, claimed: Claimed) -> Answer:
        return await self._receiver.attempt(claimed.target, claimed.notice_id)


class _Secrets:
    def signing_key(self, _encrypted: bytes) -> bytes:
        return b""


class Notifier(Service):
    """One instance."""

    def __init__(self, world: World, name: str, rng: Random) -> None:
        super().__init__(world, name, rng)
        self._outlet = ModelOutlet(world.broker)
        self._batch = rng.choice((1, 3, 50))
        self._consumer: GroupConsumer | None = None
        self._in_hand = False

    def taken(self) -> dict[int, int]:
        """Partition of conflicts.v1 -> next offset, of what it has; nothing while a batch is in hand."""
        if self._consumer is None or self._in_hand:
            return {}
        return self._consumer.positions()

    async def main(self) -> None:
        world = self.world
        pool = ModelPool(world.database)
        dispatcher = Dispatcher(
            _settings(),
            lambda: pool,
            webhooks=cast(Any, _Webhooks(world.receiver)),
            mail=cast(Any, _Mail(world.receiver)),
            secrets=cast(Any, _Secrets()),
            told=lambda: None,
        )
        name = f"{self.name}.{self.incarnation}"
        self._consumer = consumer = GroupConsumer(world.broker, NOTIFIER_GROUP, CONFLICTS_TOPIC, name)
        self._in_hand = False
        intake = Intake(
            PostgresLedger(lambda: pool),
            lambda: cast(Any, consumer),
            cast(Any, self._outlet),
            recorded=dispatcher.wake,
        )
        self.spawn(consumer.run())
        self.spawn(self._poll(consumer, intake))
        for task in (dispatcher.run(), dispatcher.write(), dispatcher.sweep()):
            self.spawn(task)

    async def _poll(self, consumer: GroupConsumer, intake: Intake) -> None:
        while True:
            records = await consumer.getmany(self._batch)
            if records:
                self._in_hand = True
                await intake.handle(records)
                self._in_hand = False

    def gone(self) -> None:
        self._consumer = None
        process, database = self.process, self.world.database
        if process is not None:
            self.world.loop.call_later(
                0.5 * self.rng.random(), database.disconnect, process, context=database.process.context
            )
