"""The partitions of a topic, for a command that reads it whole and belongs to no group."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.platform.errors import ConfigurationError, KafkaNotAuthorised

__all__ = ["assign_all"]

_LOOK_S: Final = 0.02


async def assign_all(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """Assign every partition of the topic to the consumer, which has been started; returns them in their order.

    Raises:
        KafkaNotAuthorised: the brokers do not tell us of the topic.
        ConfigurationError: there is no such topic.
        KafkaError: no answer.
    """
    if topic not in await consumer.topics():
        await consumer._client.add_topic(topic)  # a list of all topics does not tell: ask for this one
        if topic in consumer._client.cluster.unauthorized_topics:
            raise KafkaNotAuthorised(f"READ of topic {topic}: sallyport topics apply --acls")
        raise ConfigurationError(f"there is no topic {topic}: sallyport topics apply")
    consumer.assign([TopicPartition(topic, 0)])  # makes the client ask for its partitions
    while not (numbers := consumer.partitions_for_topic(topic)):  # noqa: ASYNC110 - aiokafka tells nobody
        await asyncio.sleep(_LOOK_S)
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    return partitions
