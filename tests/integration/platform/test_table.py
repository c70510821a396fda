"""A topic read whole: `caught_up` returns, and not too early, whatever its last records are."""

from __future__ import annotations

import asyncio

import pytest
from faststream.kafka import KafkaBroker

from contracts.types.registry import Agency, AgencyCategory, Source
from deploy.devstack.stack import StackInfo
from services.platform import registry as registry_module
from services.platform.kafka.batches import Records
from services.platform.kafka.clients import make_broker, make_producer
from services.platform.kafka.table import WholeTopic
from services.platform.operator import registry as operator
from services.platform.registry import RegistryTable, hash_key
from services.platform.settings import PlatformSettings
from tests.integration.platform.support import create_topic, produce, settings_for, started
from tests.support.waiting import eventually


@pytest.fixture
def settings(stack: StackInfo) -> PlatformSettings:
    return settings_for(stack.kafka_bootstrap_servers)


class Table:
    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.values: list[bytes | None] = []
        self.errors: list[BaseException] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def compose(self, broker: KafkaBroker) -> None:
        self.whole = WholeTopic(broker, self.topic, self.apply, fatal=self.errors.append)

    async def apply(self, records: Records) -> None:
        await self.gate.wait()
        self.values += [record.value for record in records]


async def test_an_empty_topic_is_caught_up_with_at_once(settings: PlatformSettings, suffix: str) -> None:
    table = Table(await create_topic(settings, f"table.{suffix}", partitions=3))
    async with started(settings, table.compose):
        await asyncio.wait_for(table.whole.caught_up(), 60)
    assert table.values == []


async def test_caught_up_waits_until_the_last_batch_has_been_applied(settings: PlatformSettings, suffix: str) -> None:
    table = Table(await create_topic(settings, f"table.{suffix}", partitions=2))
    for partition in (0, 1):
        await produce(settings, table.topic, [(b"k", b"v"), (b"k", None)], partition)
    table.gate.clear()
    async with started(settings, table.compose):
        waits = 0

        async def on_wait() -> None:
            nonlocal waits
            waits += 1
            assert len(table.values) < 4
            if waits == 5:
                table.gate.set()

        await asyncio.wait_for(table.whole.caught_up(on_wait), 60)
        assert len(table.values) == 4
    assert waits >= 5


@pytest.mark.parametrize("end", ["commit", "abort"])
async def test_a_topic_that_ends_in_the_markers_of_a_transaction(
    settings: PlatformSettings, suffix: str, end: str
) -> None:
    """The end offset lies past the marker, which is no record: a position that stops at it would wait for ever."""
    table = Table(await create_topic(settings, f"table.{suffix}", partitions=2))
    producer = make_producer(settings, transactional_id=f"t.{suffix}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(table.topic, key=b"k", value=b"committed", partition=0)
    await producer.commit_transaction()
    for _ in range(2):
        await producer.begin_transaction()
        await producer.send_and_wait(table.topic, key=b"k", value=b"last", partition=0)
        if end == "commit":
            await producer.commit_transaction()
        else:
            await producer.abort_transaction()
    await producer.stop()
    async with started(settings, table.compose):
        await asyncio.wait_for(table.whole.caught_up(), 60)
        assert table.values == [b"committed"] + ([b"last"] * 2 if end == "commit" else [])
        assert (await table.whole.positions())[0] == 6
    assert table.errors == []


async def test_a_transaction_that_is_open_holds_nobody_up_and_shows_once_it_is_committed(
    settings: PlatformSettings, suffix: str
) -> None:
    table = Table(await create_topic(settings, f"table.{suffix}"))
    await produce(settings, table.topic, [(b"k", b"before")])
    producer = make_producer(settings, transactional_id=f"t.{suffix}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(table.topic, key=b"k", value=b"open", partition=0)
    try:
        async with started(settings, table.compose):
            await asyncio.wait_for(table.whole.caught_up(), 60)
            assert table.values == [b"before"]
            await producer.commit_transaction()
            await eventually(lambda: table.values == [b"before", b"open"])
    finally:
        await producer.stop()


async def test_a_table_that_cannot_apply_never_says_that_it_is_caught_up(
    settings: PlatformSettings, suffix: str
) -> None:
    table = Table(await create_topic(settings, f"table.{suffix}"))
    await produce(settings, table.topic, [(b"k", b"v")])

    async def fail(_records: Records) -> None:
        raise RuntimeError("no")

    errors: list[BaseException] = []
    broker = make_broker(settings)
    whole = WholeTopic(broker, table.topic, fail, fatal=errors.append)
    await broker.start()
    try:
        waiting = asyncio.create_task(whole.caught_up())
        await eventually(lambda: bool(errors))
        await produce(settings, table.topic, [(b"k", b"more")])
        done, _ = await asyncio.wait({waiting}, timeout=1)
        assert not done
        waiting.cancel()
    finally:
        await broker.stop()


async def test_the_registry_follows_its_topic(
    settings: PlatformSettings, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published by the operator's command, read by a service: records, a replacement, a removal, and rubbish."""
    topic = await create_topic(settings, f"registry.{suffix}")
    monkeypatch.setattr(registry_module, "REGISTRY_TOPIC", topic)
    monkeypatch.setattr(operator, "REGISTRY_TOPIC", topic)
    agency = Agency(id="CTICE0099", name="Example", category=AgencyCategory.ICE_ERO)
    await operator.publish(settings, [agency, Source(id="jms", key_sha256=[hash_key("one")])])
    await produce(settings, topic, [(b"agency:X", b"{not json"), (b"\xff", None)])

    broker = make_broker(settings)
    errors: list[BaseException] = []
    table = RegistryTable(broker, fatal=errors.append)
    assert table.check() is not None
    await broker.start()
    try:
        await asyncio.wait_for(table.restore(), 60)
        assert table.check() is None
        assert table.registry.agencies == {"CTICE0099": agency}
        assert table.registry.authenticate("Bearer one").id == "jms"
        await operator.publish(settings, [Source(id="jms", key_sha256=[hash_key("two")])])
        await produce(settings, topic, [(b"agency:CTICE0099", None)])
        await eventually(lambda: not table.registry.agencies)
        assert table.registry.authenticate("Bearer two").id == "jms"
        assert table.registry.sources["jms"].key_sha256 == [hash_key("two")]
    finally:
        await broker.stop()
    assert errors == []
