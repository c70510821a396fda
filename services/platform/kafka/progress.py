"""Does a consumer move, or idle rightly? Its positions against the end offsets, looked at every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from services.platform.logs import get_logger
from services.platform.metrics import CONSUMER_LAG, CONSUMER_STALLED

__all__ = ["ConsumerProgress"]

log = get_logger(__name__)


class ConsumerProgress:
    """Watches one consumer; gives a liveness check and the lag metric.

    consumer: returns the consumer, None while there is none.
    handled: partition -> offset up to which, exclusive, the work is done; without it, the consumer's position, which
        is past a batch as soon as it is taken: a handler that hangs then shows with the next record only. Where the
        service keeps no account of its own, `batches.in_hand` is one.
    stall_after_s: with a backlog, and no movement for so long, it is stuck.
    """

    def __init__(
        self,
        topic: str,
        consumer: Callable[[], AIOKafkaConsumer | None],
        *,
        stall_after_s: float,
        interval_s: float,
        handled: Callable[[], dict[int, int]] | None = None,
    ) -> None:
        self.topic = topic
        self._consumer = consumer
        self._handled = handled
        self._stall_after_s = stall_after_s
        self._interval_s = interval_s
        self._moved_at: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._lag: dict[int, int] = {}

    def check(self) -> str | None:
        """For Health.alive."""
        ended = _ended(self._consumer())
        if ended is not None:
            return f"{self.topic}: the consumer's client has ended ({ended}), and learns nothing new of the brokers"
        now = time.monotonic()
        stuck = [
            p for p, lag in self._lag.items() if lag > 0 and now - self._moved_at.get(p, now) > self._stall_after_s
        ]
        if stuck:
            return (
                f"{self.topic}: partitions {sorted(stuck)} have a backlog "
                f"and have not moved for {self._stall_after_s:g} s"
            )
        return None

    async def run(self) -> None:
        """Look, for ever; cancelled at the end. A broker that is away is no finding: the next look tells."""
        while True:
            try:
                # Well below the stall: a look that hangs must not let a backlog of before look stuck meanwhile.
                await asyncio.wait_for(self._look(), self._stall_after_s / 2)
            except (KafkaError, ConsumerStoppedError, TimeoutError, OSError) as error:
                # Whether it moved cannot be told: a backlog seen before the broker went away counts from anew.
                self._moved_at = dict.fromkeys(self._moved_at, time.monotonic())
                log.debug("progress_unknown", topic=self.topic, error=type(error).__name__)
            await asyncio.sleep(self._interval_s)

    async def _look(self) -> None:
        consumer = self._consumer()
        assignment: set[TopicPartition] = set(consumer.assignment()) if consumer is not None else set()
        for gone in self._lag.keys() - {tp.partition for tp in assignment}:
            self._forget(gone)
        if consumer is None or not assignment:
            return
        ends: dict[TopicPartition, int] = await consumer.end_offsets(list(assignment))
        handled = self._handled() if self._handled is not None else {}
        now = time.monotonic()
        for tp, end in ends.items():
            position = handled.get(tp.partition)
            if position is None:
                position = await consumer.position(tp)
            if self._seen.get(tp.partition) != position or tp.partition not in self._moved_at:
                self._seen[tp.partition] = position
                self._moved_at[tp.partition] = now
            lag = max(0, end - position)
            if lag == 0:
                self._moved_at[tp.partition] = now
            self._lag[tp.partition] = lag
            CONSUMER_LAG.labels(self.topic, str(tp.partition)).set(lag)
            CONSUMER_STALLED.labels(self.topic, str(tp.partition)).set(now - self._moved_at[tp.partition])

    def _forget(self, partition: int) -> None:
        for known in (self._lag, self._seen, self._moved_at):
            known.pop(partition, None)
        CONSUMER_LAG.remove(self.topic, str(partition))
        CONSUMER_STALLED.remove(self.topic, str(partition))


def _ended(consumer: AIOKafkaConsumer | None) -> str | None:
    """What the task that keeps the consumer's metadata has ended with. aiokafka does not tell, and looks that hang
    cannot be told from a broker that is away."""
    task = consumer._client._sync_task if consumer is not None else None
    if task is None or not task.done() or task.cancelled():
        return None
    return type(task.exception()).__name__
