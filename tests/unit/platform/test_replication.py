"""Replicas that are not in sync, from metadata as aiokafka keeps it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from aiokafka.cluster import ClusterMetadata
from prometheus_client import REGISTRY

from contracts.catalog import load_topics
from services.platform.kafka.replication import Replication


class Client:
    """What Replication uses of AIOKafkaClient: topics to ask for, a forced update, and the metadata."""

    def __init__(self) -> None:
        self.cluster = ClusterMetadata()
        self.topics: set[str] = set()
        self.isr: dict[str, list[list[int]]] = {}
        self.updates = asyncio.Queue[None]()
        self.away = False

    def add_topic(self, topic: str) -> None:
        self.topics.add(topic)

    async def force_metadata_update(self) -> bool:
        self.updates.put_nowait(None)
        if self.away:
            return False
        topics = [
            (0, topic, False, [(0, number, 1, [1, 2, 3], isr) for number, isr in enumerate(self.isr[topic])])
            for topic in sorted(self.topics & self.isr.keys())
        ]
        brokers = [(1, "broker", 9092, None)]
        self.cluster.update_metadata(SimpleNamespace(API_VERSION=1, brokers=brokers, controller_id=1, topics=topics))
        return True


def lacking(topic: str) -> float | None:
    return REGISTRY.get_sample_value("sallyport_topic_under_replicated_partitions", {"topic": topic})


async def test_a_service_counts_the_partitions_of_its_own_topics() -> None:
    client = Client()
    client.isr = {"conflicts.v1": [[1, 2, 3], [1, 2], [1]], "notices.v1": [[1, 2, 3]], "custody.events.v1": [[1]]}
    watching = asyncio.create_task(Replication("notifier", lambda: client, look_s=0.01).run())
    try:
        for _ in range(2):  # at the second look, the first is over
            await asyncio.wait_for(client.updates.get(), 30)
        assert (lacking("conflicts.v1"), lacking("notices.v1")) == (2, 0)
        assert client.topics == {t.name for t in load_topics().values() if "notifier" in (*t.writers, *t.readers)}

        client.away = True
        client.isr["conflicts.v1"] = [[1, 2, 3]] * 3
        for _ in range(2):
            await asyncio.wait_for(client.updates.get(), 30)
        assert lacking("conflicts.v1") == 2, "brokers that are away are no finding"

        client.away = False
        for _ in range(3):
            await asyncio.wait_for(client.updates.get(), 30)
        assert lacking("conflicts.v1") == 0
    finally:
        watching.cancel()
