"""A matcher instance: the real Ownership, Lane, PartitionWriter, books and WeighedEngine over the model of Kafka.

What services.matcher.app composes, without FastStream: its loop of polls is here, and its batches go the same way.
"""

from __future__ import annotations

import asyncio
from functools import cache, partial
from random import Random
from typing import TYPE_CHECKING, Final

from aiokafka import ConsumerRecord

from services.matcher.adapters.clock import SystemClock
from services.matcher.adapters.membership import Membership
from services.matcher.adapters.ownership import Ownership
from services.matcher.adapters.writer import KafkaStateLog
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.terms import Places
from services.matcher.identity_model import load_model
from services.matcher.settings import MatcherSettings
from services.platform.errors import ContractViolation
from services.platform.kafka.rejects import unreadable
from tests.simulation.clients import GroupConsumer, ModelOutlet
from tests.simulation.service import Service, is_stormy
from tests.simulation.tables import ModelTable

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["CUSTODY_TOPIC", "GROUP", "Matcher"]

CUSTODY_TOPIC: Final = "custody.events.v1"
GROUP: Final = "sallyport-matcher"
ROUND_S: Final = 90.0
model = cache(load_model)


@cache
def _settings(inputs: int, inbox: int, poll: int) -> MatcherSettings:
    return MatcherSettings.model_validate(
        {
            "allow_plaintext": True,
            "group_id": GROUP,
            "kafka_request_timeout_ms": 2000,
            "transaction_max_inputs": inputs,
            "inbox_limit": inbox,
            "max_poll_records": poll,
            "progress_flush_s": 2.0,
            "revoke_budget_s": 1.5,
            "fenced_retry_s": 4.0,
            "restore_retry_s": 0.5,
            # No steward is away for longer, nor is a partition: what is told of a burst then has a bound.
            "breaker_round_seconds": ROUND_S,
        }
    )


class _Clock(SystemClock):
    """The real one, over the time of the world; computing costs time too, which the loop's clock does not show."""

    def __init__(self, matcher: Matcher, limit_s: float) -> None:
        self._matcher = matcher
        self._spent = 0.0
        super().__init__(limit_s, wall=matcher.now, steady=matcher.world.steady)

    def elapsed(self) -> float:
        self._spent += self._matcher.rng.random() ** 8 * 0.1
        return self._matcher.world.loop.time() + self._spent


def _never(error: BaseException) -> None:
    raise AssertionError("members are dynamic here") from error


class Matcher(Service):
    """One instance."""

    def __init__(self, world: World, name: str, rng: Random) -> None:
        super().__init__(world, name, rng)
        self._settings = _settings(rng.choice((2, 5, 50)), rng.choice((3, 20)), rng.choice((2, 10, 50)))
        self._outlet = ModelOutlet(world.broker)
        self.ownership: Ownership | None = None
        self.consumer: GroupConsumer | None = None
        self._polls: list[asyncio.Task[None]] = []

    async def main(self) -> None:
        world = self.world
        self.consumer = None
        places = Places(self._settings.default_time_zone)
        self._ground = Ground(WeighedEngine(model()), self._settings.terms, places, self._settings.feed_terms)
        self._ground.detainers.collect()
        self._ground_read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ownership = ownership = Ownership(
            self._settings,
            self._ground,
            store=KafkaStateLog(self._settings, GROUP),
            clock=_Clock(self, self._settings.clock_skew_limit_s),
            consumer=lambda: self.consumer,
            membership=Membership(self._settings, consumer=lambda: self.consumer, fatal=_never),
            spawn=self.spawn,
            ground_ready=self._ground_ready,
            on_unreadable=self._keep_unreadable,
        )
        self._tables = [ModelTable(world.broker, whole.topic, self.rng) for whole in ownership.wholes]
        name = f"{self.name}.{self.incarnation}"
        self.consumer = consumer = GroupConsumer(world.broker, GROUP, CUSTODY_TOPIC, name, ownership)
        self._polls = [
            self.spawn(table.run(partial(ownership.broadcast, whole)))
            for table, whole in zip(self._tables, ownership.wholes, strict=True)
        ]
        self.spawn(self._read_ground())
        self.spawn(consumer.run())
        self._polls.append(self.spawn(self._poll(ownership, consumer)))

    async def stop(self) -> None:
        """SIGTERM: services.matcher.app.MatcherService.stop."""
        process = self.process
        if process is None or self.ownership is None or self.consumer is None:
            self.kill()
            return
        for poll in self._polls:
            poll.cancel()
        await self.consumer.leave()
        await self.ownership.finish(3.0)
        self.world.story.say(self.name, "has stopped in good order")
        self.world.story.count("graceful stops")
        self.world.loop.kill(process)
        self.world.later(1 + 6 * self.rng.random(), self.start)

    async def _poll(self, ownership: Ownership, consumer: GroupConsumer) -> None:
        while True:
            records = await consumer.getmany(self._settings.max_poll_records)
            if records:
                ownership.taken(records)
                # FastStream parses and decodes before it hands on; long, where the process was stopped right there.
                stuck = is_stormy(self.world.history.seed) and self.rng.random() < 0.04
                await asyncio.sleep(5.0 if stuck else self.rng.choice((0, 0, 0, 0, 0.005, 0.05, 0.9)))
                await ownership.custody(records)

    async def _read_ground(self) -> None:
        for table in self._tables:
            await table.caught_up.wait()
        detainers = self._ground.detainers
        people = detainers.collected()
        await asyncio.sleep(self.rng.random() * 0.05)  # the thread that builds
        detainers.build(people)
        detainers.finish()
        self._ground_read.set_result(None)

    async def _ground_ready(self) -> None:
        await asyncio.shield(self._ground_read)

    def _keep_unreadable(self, record: ConsumerRecord, violation: ContractViolation) -> None:
        self.world.story.say(self.name, f"cannot read {record.topic}/{record.partition}/{record.offset}")
        self.spawn(self._reject(record, violation))

    async def _reject(self, record: ConsumerRecord, violation: ContractViolation) -> None:
        errors = await self._outlet.send([unreadable(record, violation, "matcher", self.now())])
        if errors[0] is not None:
            raise errors[0]
