"""What the platform's tests on a real Kafka share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.kafka import KafkaBroker

from services.platform.kafka.clients import make_broker, make_producer
from services.platform.settings import PlatformSettings
from tests.support.plain import plain
from tests.support.waiting import eventually


def settings_for(bootstrap_servers: str, **more: object) -> PlatformSettings:
    return plain(bootstrap_servers, **more)


async def create_topic(settings: PlatformSettings, topic: str, partitions: int = 1, **configs: str) -> str:
    """Return when the brokers show it: the controller, which answers, knows of it before they do."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()

    async def shown() -> bool:
        return topic in await admin.list_topics()

    try:
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=configs)])
        await eventually(shown, what=f"{topic} is not shown")
    finally:
        await admin.close()
    return topic


Write = tuple[bytes, bytes | None] | tuple[bytes, bytes | None, list[tuple[str, bytes]]]


async def produce(settings: PlatformSettings, topic: str, records: Sequence[Write], partition: int = 0) -> None:
    """Write (key, value[, headers]) to one partition; return when the broker has them."""
    producer = make_producer(settings)
    await producer.start()
    try:
        for key, value, *headers in records:
            await producer.send_and_wait(
                topic, key=key, value=value, partition=partition, headers=headers[0] if headers else None
            )
    finally:
        await producer.stop()


@asynccontextmanager
async def started(settings: PlatformSettings, compose: Callable[[KafkaBroker], None]) -> AsyncIterator[KafkaBroker]:
    """A broker with what `compose` hangs on it, running."""
    broker = make_broker(settings)
    compose(broker)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
