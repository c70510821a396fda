"""The partitions of a topic, for a command that reads it whole and belongs to no group."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.platform.errors import ConfigurationError, KafkaNotAuthorised

__all__ = ["assign_all"]


async def assign_all(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """Assign every partition of the topic to the consumer, which has been started; returns them in their order.

    Raises:
        KafkaNotAuthorised: the brokers do not tell us of the topic.
        ConfigurationError: there is no such topic.
        KafkaError: no answer.
    """
    numbers = (await consumer._client.fetch_all_metadata()).partitions_for_topic(topic)
    if not numbers:
        await consumer._client.add_topic(topic)  # a list of all topics does not tell: ask for this one
        if topic in consumer._client.cluster.unauthorized_topics:
            raise KafkaNotAuthorised(f"READ of topic {topic}: sallyport topics apply --acls")
        raise ConfigurationError(f"there is no topic {topic}: sallyport topics apply")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    # Once, and with all of them: a consumer of a group that is assigned anew while it looks for its coordinator logs a
    # failed assertion of aiokafka's.
    consumer.assign(partitions)
    return partitions
