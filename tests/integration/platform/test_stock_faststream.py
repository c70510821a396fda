"""What FastStream as it comes does with records, which is why services/platform/kafka/batches.py is as it is.

These hold FastStream to docs/adr/0004, not ourselves: when one fails after an upgrade, the trap is gone, and the
decision may be taken anew.
"""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from faststream import AckPolicy

from deploy.devstack.stack import StackInfo
from services.platform.kafka.clients import make_broker, make_consumer
from services.platform.settings import PlatformSettings
from tests.integration.platform.support import create_topic, produce, settings_for
from tests.support.waiting import eventually


@pytest.fixture
def settings(stack: StackInfo) -> PlatformSettings:
    return settings_for(stack.kafka_bootstrap_servers)


async def committed(settings: PlatformSettings, topic: str, group: str) -> int | None:
    """The offset that the group has committed on partition 0."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        offset: int | None = await consumer.committed(TopicPartition(topic, 0))
        return offset
    finally:
        await consumer.stop()


async def run_stock(
    settings: PlatformSettings, topic: str, group: str, policy: AckPolicy, until: str, *, fail_on: bytes = b""
) -> list[bytes]:
    """A plain per-message subscriber until it has seen `until`; what it saw, in order."""
    broker = make_broker(settings)
    seen: list[bytes] = []

    @broker.subscriber(topic, group_id=group, ack_policy=policy, auto_offset_reset="earliest")
    async def handle(body: bytes) -> None:
        seen.append(body)
        if fail_on and body == fail_on:
            raise RuntimeError("no")

    await broker.start()
    try:
        await eventually(lambda: until.encode() in seen)
    finally:
        await broker.stop()
    return seen


@pytest.mark.parametrize("policy", [AckPolicy.ACK_FIRST, AckPolicy.ACK, AckPolicy.NACK_ON_ERROR, AckPolicy.MANUAL])
async def test_a_header_that_is_not_utf_8_skips_the_record(
    settings: PlatformSettings, suffix: str, policy: AckPolicy
) -> None:
    topic = await create_topic(settings, f"stock.{suffix}")
    odd: list[tuple[str, bytes]] = [("ce_id", b"\xff")]
    await produce(settings, topic, [(b"k", b"before"), (b"k", b"odd", odd), (b"k", b"after")])
    seen = await run_stock(settings, topic, f"g.{suffix}", policy, "after")
    assert seen == [b"before", b"after"]


async def test_ack_commits_a_record_whose_handler_failed(settings: PlatformSettings, suffix: str) -> None:
    topic, group = await create_topic(settings, f"stock.{suffix}"), f"g.{suffix}"
    await produce(settings, topic, [(b"k", b"bad"), (b"k", b"after")])
    seen = await run_stock(settings, topic, group, AckPolicy.ACK, "after", fail_on=b"bad")
    assert seen == [b"bad", b"after"]
    assert await committed(settings, topic, group) == 2


async def test_nack_reads_the_same_record_again_at_once_and_for_ever(settings: PlatformSettings, suffix: str) -> None:
    topic, group = await create_topic(settings, f"stock.{suffix}"), f"g.{suffix}"
    await produce(settings, topic, [(b"k", b"bad"), (b"k", b"after")])
    broker = make_broker(settings)
    seen: list[Any] = []

    @broker.subscriber(topic, group_id=group, ack_policy=AckPolicy.NACK_ON_ERROR, auto_offset_reset="earliest")
    async def handle(body: bytes) -> None:
        seen.append(body)
        raise RuntimeError("no")

    await broker.start()
    try:
        await eventually(lambda: len(seen) > 100)
    finally:
        await broker.stop()
    assert set(seen) == {b"bad"}


async def test_an_ack_of_one_record_commits_what_another_has_not_finished(
    settings: PlatformSettings, suffix: str
) -> None:
    """`ack` is `consumer.commit()` without offsets: the positions of every partition, as far as they were read."""
    topic = await create_topic(settings, f"stock.{suffix}")
    await produce(settings, topic, [(b"k", str(n).encode()) for n in range(5)])
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=f"g.{suffix}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        records = (await consumer.getmany(timeout_ms=10_000))[TopicPartition(topic, 0)]
        assert len(records) == 5  # none of them is handled yet
        await consumer.commit()
    finally:
        await consumer.stop()
    assert await committed(settings, topic, f"g.{suffix}") == 5


async def test_raw_consumers_hand_such_headers_over(settings: PlatformSettings, suffix: str) -> None:
    """aiokafka itself has no trouble with them: so ours need not either."""
    topic = await create_topic(settings, f"stock.{suffix}")
    await produce(settings, topic, [(b"k", b"odd", [("ce_id", b"\xff")])])
    consumer = make_consumer(settings)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        record = await consumer.getone()
    finally:
        await consumer.stop()
    assert record.headers == (("ce_id", b"\xff"),)
