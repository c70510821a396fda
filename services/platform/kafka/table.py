"""The whole of a topic, read from its beginning and followed from then on: the ground of every table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker

from services.platform.health import Health
from services.platform.kafka.batches import BatchHandler, Fatal, Records, subscribe
from services.platform.kafka.progress import ConsumerProgress
from services.platform.settings import PlatformSettings

__all__ = ["WholeTopic"]

_POLL_S = 0.02


class WholeTopic:
    """Reads every partition of `topic` from the beginning, without a group, into `apply`.

    apply: gets batches in partition order; compaction may have taken older versions of a key, never the newest.
    """

    def __init__(
        self,
        broker: KafkaBroker,
        topic: str,
        apply: BatchHandler,
        *,
        fatal: Fatal,
        max_records: int = 5000,
    ) -> None:
        self.topic = topic
        self._apply = apply
        self._in_hand = False
        self._subscriber = subscribe(
            broker,
            topic,
            self._handle,
            fatal=fatal,
            group_id=None,
            max_records=max_records,
            on_taken=self._taken,
            description=f"Every record of {topic}, by every instance.",
        )

    def _taken(self, _records: Records) -> None:
        self._in_hand = True

    async def _handle(self, records: Records) -> None:
        await self._apply(records)
        self._in_hand = False

    def watched(self, settings: PlatformSettings, health: Health, name: str) -> ConsumerProgress:
        """Whether it moves, as the check `name` of /livez. The service runs what is returned."""
        progress = ConsumerProgress(
            self.topic,
            lambda: self._subscriber.consumer,
            stall_after_s=settings.stall_after_s,
            interval_s=settings.probe_interval_s,
        )
        health.alive(name, progress.check)
        return progress

    async def positions(self) -> dict[int, int]:
        """Partition -> the offset up to which, exclusive, everything has been applied. Empty before the start."""
        consumer = self._subscriber.consumer
        if consumer is None or self._in_hand:
            return {}
        return {tp.partition: await consumer.position(tp) for tp in consumer.assignment()}

    async def caught_up(self, on_wait: Callable[[], Awaitable[None]] | None = None) -> None:
        """Return once all that was in the topic at the time of the call has been applied.

        Never times out by itself: a broker that is away is waited for; put a deadline around it.
        """
        consumer = self._subscriber.consumer
        while consumer is None or not consumer.assignment():
            await asyncio.sleep(_POLL_S)
            consumer = self._subscriber.consumer
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
        while True:
            applied = await self.positions()
            if applied and all(applied.get(tp.partition, 0) >= end for tp, end in ends.items()):
                return
            if on_wait is not None:
                await on_wait()
            await asyncio.sleep(_POLL_S)
