"""Whether the topics of a service have all their replicas in sync, by the metadata that any client gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from contracts.catalog import load_topics
from services.platform.logs import get_logger
from services.platform.metrics import UNDER_REPLICATED

__all__ = ["Replication"]

log = get_logger(__name__)
LOOK_S: Final = 30.0
"""Seconds between two looks, each one request of some kilobytes."""


class Replication:
    """Watches the topics that `contracts/topics.yaml` lets `service` write or read; gives a metric.

    Three services see every topic between them, without a monitor at the brokers. A topic that is not there, or that
    this service may not describe, has no series.

    client: the connection of a producer, which is asked for its own topics only and can be told of more.
    """

    def __init__(self, service: str, client: Callable[[], AIOKafkaClient | None], look_s: float = LOOK_S) -> None:
        self._topics = sorted(t.name for t in load_topics().values() if service in (*t.writers, *t.readers, t.owner))
        self._client = client
        self._look_s = look_s

    async def run(self) -> None:
        """Look, for ever; cancelled at the end. Brokers that are away are no finding: the last one stands."""
        while True:
            client = self._client()
            if client is not None:
                try:
                    await asyncio.wait_for(self._look(client), self._look_s)
                except (KafkaError, TimeoutError, OSError) as error:
                    log.debug("replication_unknown", error=type(error).__name__)
            await asyncio.sleep(self._look_s)

    async def _look(self, client: AIOKafkaClient) -> None:
        for topic in self._topics:
            # All by one request, the forced one: each of these would wait for one of its own.
            client.add_topic(topic)
        if not await client.force_metadata_update():
            return
        # aiokafka keeps the replicas of each partition, and has no public way to ask for them.
        known = client.cluster._partitions
        for topic in self._topics:
            partitions = known.get(topic)
            if partitions is not None:
                UNDER_REPLICATED.labels(topic).set(sum(len(p.isr) < len(p.replicas) for p in partitions.values()))
