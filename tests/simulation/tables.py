"""services.platform.kafka.table.WholeTopic over the model of Kafka: the whole of a topic, and what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from tests.simulation.clients import Consumer
from tests.simulation.kafka import Broker

__all__ = ["ModelTable"]


class ModelTable:
    """caught_up: set when all that was there at the start has been applied."""

    def __init__(self, broker: Broker, topic: str, rng: Random) -> None:
        self._broker = broker
        self._topic = topic
        self._limit = rng.choice((2, 100))
        self.caught_up = asyncio.Event()

    async def run(self, apply: Callable[[tuple[ConsumerRecord, ...]], Awaitable[None]]) -> None:
        """Hand every record to `apply`, in batches, and go on for ever."""
        consumer = Consumer(self._broker)
        partitions = [TopicPartition(self._topic, p) for p in range(self._broker.partitions[self._topic])]
        consumer.assign(partitions)
        ends: dict[Any, int] | None = None
        while ends is None:
            try:
                ends = await consumer.end_offsets(partitions)
            except KafkaError:
                await asyncio.sleep(0.2)
        while True:
            if all([await consumer.position(tp) >= end for tp, end in ends.items()]):
                self.caught_up.set()
            found = await consumer.getmany(*partitions, timeout_ms=5000)
            records = tuple(record for tp in sorted(found) for record in found[tp])
            for begin in range(0, len(records), self._limit):
                await apply(records[begin : begin + self._limit])
