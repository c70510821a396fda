"""/livez of a consumer: red when it is stuck with a backlog, green when it idles, moves, or the broker is away."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

import prometheus_client
import pytest
from faststream.kafka import KafkaBroker

from deploy.devstack.stack import StackInfo, checkout_root
from deploy.devstack.supervisor import ephemeral
from services.platform.kafka.batches import Records, in_hand, subscribe
from services.platform.kafka.progress import ConsumerProgress
from services.platform.settings import PlatformSettings
from tests.integration.platform.support import create_topic, produce, settings_for, started
from tests.support.waiting import eventually

STALL_S = 1.5


class Consumer:
    """A consumer whose handler can be held, with the check of its progress.

    account: who says how far the work is done. The service itself, as the matcher does; the batches, as for the
    notifier; or nobody, and then the consumer's position stands for it.
    """

    def __init__(self, topic: str, group: str, account: str, stall_after_s: float = STALL_S) -> None:
        self.topic, self.group = topic, group
        self.done: dict[int, int] = {}
        self.held = False
        self.pass_one = asyncio.Semaphore(0)
        self.entered = 0
        accounts: dict[str, Callable[[], dict[int, int]] | None] = {
            "service": lambda: self.done,
            "batches": lambda: in_hand(self.subscriber),
            "nobody": None,
        }
        self.progress = ConsumerProgress(
            topic,
            lambda: self.subscriber.consumer,
            stall_after_s=stall_after_s,
            interval_s=0.05,
            handled=accounts[account],
        )

    def compose(self, broker: KafkaBroker) -> None:
        self.subscriber = subscribe(
            broker,
            self.topic,
            self.batch,
            fatal=lambda _: None,
            group_id=self.group,
            max_records=1,
            # A look at the end offsets waits in the connection behind a fetch that waits for records.
            fetch_max_wait_ms=20,
        )

    async def batch(self, records: Records) -> None:
        self.done.setdefault(records[0].partition, records[0].offset)
        self.entered += 1
        if self.held:
            await self.pass_one.acquire()
        self.done[records[-1].partition] = records[-1].offset + 1

    @asynccontextmanager
    async def running(self, settings: PlatformSettings) -> AsyncIterator[None]:
        async with started(settings, self.compose):
            watching = asyncio.create_task(self.progress.run())
            try:
                yield
                assert not watching.done(), "the watch has ended"
            finally:
                self.let_go()
                watching.cancel()

    def let_go(self) -> None:
        self.held = False
        self.pass_one.release()

    def lag(self) -> float | None:
        return prometheus_client.REGISTRY.get_sample_value(
            "sallyport_consumer_lag_records", {"topic": self.topic, "partition": "0"}
        )


@pytest.fixture
def settings(stack: StackInfo) -> PlatformSettings:
    return settings_for(stack.kafka_bootstrap_servers)


async def always_green(consumer: Consumer, for_s: float) -> None:
    """The check must hold the whole time: so this is a time, and not a condition."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        assert consumer.progress.check() is None
        await asyncio.sleep(0.02)


async def test_an_idle_consumer_stays_green(settings: PlatformSettings, suffix: str) -> None:
    consumer = Consumer(await create_topic(settings, f"idle.{suffix}"), f"g.{suffix}", "service")
    await produce(settings, consumer.topic, [(b"k", b"1"), (b"k", b"2")])
    async with consumer.running(settings):
        await eventually(lambda: consumer.done.get(0) == 2 and consumer.lag() == 0)
        await always_green(consumer, 3 * STALL_S)


@pytest.mark.parametrize("account", ["service", "batches", "nobody"])
async def test_a_handler_that_hangs_turns_it_red_and_its_return_green(
    settings: PlatformSettings, suffix: str, account: str
) -> None:
    consumer = Consumer(await create_topic(settings, f"stuck.{suffix}"), f"g.{suffix}", account)
    # By its position alone, a consumer is past the record that it handed over: a second one shows the stall.
    await produce(settings, consumer.topic, [(b"k", b"1")] * (2 if account == "nobody" else 1))
    consumer.held = True
    async with consumer.running(settings):
        await eventually(lambda: consumer.entered == 1)
        assert consumer.progress.check() is None
        await eventually(lambda: consumer.progress.check() is not None)
        said = consumer.progress.check()
        assert said is not None
        assert consumer.topic in said
        assert "[0]" in said
        assert consumer.lag() == 1
        consumer.let_go()
        await eventually(lambda: consumer.progress.check() is None and consumer.lag() == 0)


async def test_a_slow_handler_that_moves_stays_green(settings: PlatformSettings, suffix: str) -> None:
    # Held for longer in all than it may stand still, and each time for so much less that a busy machine is no stall.
    stall_s = 3.0
    consumer = Consumer(await create_topic(settings, f"slow.{suffix}"), f"g.{suffix}", "service", stall_s)
    await produce(settings, consumer.topic, [(b"k", b"1")] * 8)
    consumer.held = True
    async with consumer.running(settings):
        for n in range(1, 7):
            await eventually(lambda n=n: consumer.entered == n)  # type: ignore[misc]
            await always_green(consumer, stall_s / 4)
            consumer.pass_one.release()
        assert (consumer.lag() or 0) > 0


async def test_a_client_that_has_ended_turns_it_red(
    settings: PlatformSettings, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka's client says nothing when an error that it does not expect has ended what keeps its metadata."""
    consumer = Consumer(await create_topic(settings, f"ended.{suffix}"), f"g.{suffix}", "service")
    async with consumer.running(settings):
        await eventually(lambda: consumer.lag() == 0)
        inner = consumer.subscriber.consumer
        assert inner is not None

        async def fail(*_: object) -> bool:
            raise RuntimeError("the handler is closed")

        monkeypatch.setattr(inner._client, "_metadata_update", fail)
        inner._client.force_metadata_update()
        await eventually(lambda: "ended (RuntimeError)" in (consumer.progress.check() or ""))
        inner._client._sync_task = None  # or stopping raises it


async def test_a_broker_that_is_away_is_no_reason_to_restart(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a backlog, even: it was seen, the broker went away, and whether it moves cannot be told."""
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as away:
        info = await asyncio.to_thread(
            away.enter_context, ephemeral(checkout_root(), f"test-{os.getpid()}-away-{suffix}")
        )
        settings = settings_for(info.kafka_bootstrap_servers)
        consumer = Consumer(await create_topic(settings, f"away.{suffix}"), f"g.{suffix}", "service")
        await produce(settings, consumer.topic, [(b"k", b"1")] * 2)
        consumer.held = True
        async with consumer.running(settings):
            await eventually(lambda: consumer.entered == 1 and consumer.lag() == 2)
            stopping = asyncio.create_task(asyncio.to_thread(away.close))
            # While it goes down the consumer is rightly stuck for a moment; from then on there is nothing to see.
            await stopping
            await eventually(lambda: consumer.progress.check() is None)
            await always_green(consumer, 4 * STALL_S)
