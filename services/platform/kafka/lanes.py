"""Group commit: what concurrent callers have for one partition travels in one produce batch.

aiokafka's own `send` costs some 15 µs and a future for each record. Here a record waits in the lane of its partition
until the batch before it is acknowledged, and a batch is built at once from all that waits: one future a batch.
It also makes "not taken" sayable: a record that still waits in its lane when its caller gives up never leaves it.

Producers are idempotent, so aiokafka retries a batch for ever, and after a batch that failed for good the sequence
numbers of its partition are broken: every later batch would fail too. Such a producer is replaced by a new one.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from services.platform.kafka.doors import refusal
from services.platform.kafka.records import OutRecord
from services.platform.logs import get_logger

__all__ = ["InDoubt", "Lanes", "NotTaken", "partition_of"]

log = get_logger(__name__)
_PER_RECORD: Final = 64
"""Bytes that a record takes beyond its key, value and headers, at most."""
_RESTART_S: Final = 0.5
_LOOK_S: Final = 0.05
_M: Final = 0x5BD1E995
_WORD: Final = struct.Struct("<I")


class NotTaken(Exception):
    """The record did not leave this process, and will not."""


class InDoubt(Exception):
    """The record was handed over and not acknowledged in time: it may be taken, now or when the broker is back."""


class _Ticket:
    """One caller and the records it waits for. outcome: None acknowledged, else why not; `_PENDING` until known."""

    __slots__ = ("done", "handed", "left", "outcome")

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.outcome: list[BaseException | None] = [_PENDING] * count
        self.handed = bytearray(count)
        self.left = count

    def settle(self, index: int, error: BaseException | None) -> None:
        if self.outcome[index] is _PENDING:
            self.outcome[index] = error
            self.left -= 1
            if not self.left and not self.done.done():
                self.done.set_result(None)

    def expire(self) -> None:
        """Time is up for what is not settled yet."""
        for index, known in enumerate(self.outcome):
            if known is _PENDING:
                late = InDoubt("not acknowledged in time") if self.handed[index] else NotTaken("not sent in time")
                self.settle(index, late)


_PENDING: Final = RuntimeError("pending")
_Waiting = tuple[OutRecord, _Ticket, int]


class Lanes:
    """The lanes of one producer.

    make: builds a producer, not started; called again when one is beyond repair.
    timeout_s: how long a caller waits for acknowledgements.
    overdue_s: a batch that is older without an acknowledgement means that the broker is away (`problem`).
    max_pending_bytes: more than so much, waiting or on its way, is not taken on.
    max_record_bytes: a larger record is refused alone, rather than fail those that travel with it.
    linger_s: how long the first record of an idle lane waits for company.
    """

    def __init__(
        self,
        make: Callable[[], AIOKafkaProducer],
        *,
        timeout_s: float,
        overdue_s: float = 3.0,
        max_pending_bytes: int = 128 * 1024 * 1024,
        max_record_bytes: int = 4 * 1024 * 1024,
        linger_s: float = 0.0,
    ) -> None:
        self._make = make
        self._timeout_s = timeout_s
        self._overdue_s = overdue_s
        self._max_pending_bytes = max_pending_bytes
        self._max_record_bytes = max_record_bytes
        self._linger_s = linger_s
        self._producer: AIOKafkaProducer | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_again_at = 0.0
        self._overdue = False
        self.pending_bytes = 0

    async def start(self) -> None:
        """Raises KafkaError or OSError when no broker answers."""
        producer = self._make()
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self, deadline_s: float) -> None:
        """Wait for what is on its way, for `deadline_s` seconds at most, and close."""
        producer, self._producer = self._producer, None
        if self._restarting is not None:
            self._restarting.cancel()
        if producer is None:
            return
        until = time.monotonic() + deadline_s
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=deadline_s)
        for task in self._tasks:
            task.cancel()
        await _close(producer, max(0.1, until - time.monotonic()))

    def problem(self) -> str | None:
        """Why no record should be handed over now; None when all is well."""
        if self._producer is None:
            return "the producer is not running"
        if self._restarting is not None:
            return "the producer is being replaced"
        if self.pending_bytes > self._max_pending_bytes:
            return "too much waits for the broker"
        now = time.monotonic()
        if now > self._look_again_at:  # every request asks; lanes are many
            self._look_again_at = now + _LOOK_S
            late = now - self._overdue_s
            self._overdue = any(lane.sent_at is not None and lane.sent_at < late for lane in self._lanes.values())
        return "the broker does not acknowledge" if self._overdue else None

    def client(self) -> AIOKafkaClient | None:
        return self._producer.client if self._producer is not None else None

    async def send(self, records: Sequence[OutRecord]) -> list[BaseException | None]:
        """For each record, None once all in-sync replicas have it, else why that is not known to be so.

        NotTaken: it is certain that it was not written. Anything else: it may have been, or may still be.
        Returns within `timeout_s` seconds, and the time that a first look at a topic's metadata takes.
        """
        producer = self._producer
        if producer is None:
            return [NotTaken("the producer is not running")] * len(records)
        if not records:
            return []
        loop = asyncio.get_running_loop()
        ticket = _Ticket(len(records), loop)
        counts: dict[str, int] = {}
        for index, record in enumerate(records):
            partition = record.partition
            if partition is None:
                count = counts.get(record.topic)
                if count is None:
                    try:
                        count = counts[record.topic] = len(await producer.partitions_for(record.topic))
                    except (KafkaError, OSError) as error:
                        ticket.settle(index, _not_taken(error, record.topic) or NotTaken(type(error).__name__))
                        continue
                partition = partition_of(record.key, count)
            if (size := _size(record)) > self._max_record_bytes:
                ticket.settle(index, NotTaken(MessageSizeTooLargeError.__name__))
                continue
            lane = self._lanes.get((record.topic, partition))
            if lane is None:
                lane = self._lanes[record.topic, partition] = _Lane(record.topic, partition)
            self.pending_bytes += size
            lane.waiting.append((record, ticket, index))
            if not lane.running:
                lane.running = True
                task = loop.create_task(self._drive(lane))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        if ticket.left:
            timer = loop.call_later(self._timeout_s, ticket.expire)
            try:
                await ticket.done
            finally:
                timer.cancel()
        return ticket.outcome

    async def _drive(self, lane: _Lane) -> None:
        """Send what waits in the lane, batch after batch, until nothing does."""
        try:
            if self._linger_s:
                await asyncio.sleep(self._linger_s)
            while lane.waiting:
                if self._restarting is not None:
                    # Nobody can be served; whoever waits gives up by its own clock.
                    await asyncio.wait({self._restarting})
                producer = self._producer
                if producer is None:
                    self._settle(list(lane.waiting), NotTaken("the producer is stopped"))
                    lane.waiting.clear()
                    return
                await self._send_batch(producer, lane)
        finally:
            lane.running = False

    async def _send_batch(self, producer: AIOKafkaProducer, lane: _Lane) -> None:
        batch = producer.create_batch()
        taken: list[_Waiting] = []
        waiting = lane.waiting
        while waiting:
            record, ticket, index = waiting[0]
            if ticket.outcome[index] is not _PENDING:  # the caller has gone, and was told that it is not taken
                self.pending_bytes -= _size(record)
                waiting.popleft()
                continue
            if batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is None:
                break
            ticket.handed[index] = 1
            taken.append(waiting.popleft())
        if not taken:
            return
        batch.close()  # or else aiokafka would let others add to it
        lane.sent_at = time.monotonic()
        try:
            await (await producer.send_batch(batch, lane.topic, partition=lane.partition))
        except (KafkaError, OSError) as error:
            self._settle(taken, _not_taken(error, lane.topic) or error)
            self._restart(producer, error)
        except asyncio.CancelledError:
            self._settle(taken, InDoubt("the producer was stopped"))
            raise
        else:
            self._settle(taken, None)
        finally:
            lane.sent_at = None

    def _settle(self, taken: Sequence[_Waiting], error: BaseException | None) -> None:
        for record, ticket, index in taken:
            self.pending_bytes -= _size(record)
            ticket.settle(index, error)

    def _restart(self, broken: AIOKafkaProducer, error: BaseException) -> None:
        if broken is self._producer and self._restarting is None:
            log.error("producer_replaced", error=type(error).__name__)
            self._restarting = asyncio.create_task(self._replace(broken))

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        try:
            await _close(broken, 5.0)
            while self._producer is not None:
                try:
                    await self.start()
                    return
                except (KafkaError, OSError) as error:
                    log.warning("producer_not_replaced", error=type(error).__name__)
                    await asyncio.sleep(_RESTART_S)
        finally:
            self._restarting = None


class _Lane:
    """What waits for one partition. running: a task drives it. sent_at: when the batch on its way was handed over."""

    __slots__ = ("partition", "running", "sent_at", "topic", "waiting")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        self.waiting: deque[_Waiting] = deque()
        self.running = False
        self.sent_at: float | None = None


def _not_taken(error: BaseException, topic: str) -> NotTaken | None:
    """Where an ACL is missing the record is certainly not written, and the message says so; None for other errors."""
    shut = refusal(error, f"WRITE of topic {topic}")
    return NotTaken(f"{shut.code}: {shut}") if shut is not None else None


def _size(record: OutRecord) -> int:
    return len(record.key) + len(record.value or b"") + len(record.headers) * 40 + _PER_RECORD


async def _close(producer: AIOKafkaProducer, deadline_s: float) -> None:
    """aiokafka flushes for ever when the broker is away."""
    closing: Awaitable[None] = producer.stop()
    try:
        await asyncio.wait_for(closing, deadline_s)
    except (TimeoutError, KafkaError, OSError) as error:
        log.warning("producer_not_flushed", error=type(error).__name__)


@lru_cache(maxsize=4096)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that every Kafka client's default partitioner gives to `key` (murmur2, seed 0x9747b28c).

    aiokafka's own spells it out byte by byte, in twice the time.
    """
    length = len(key)
    whole = length & ~3
    h = 0x9747B28C ^ length
    for (k,) in _WORD.iter_unpack(key[:whole]):
        k = (k * _M) & 0xFFFFFFFF
        h = ((h * _M) & 0xFFFFFFFF) ^ (((k ^ (k >> 24)) * _M) & 0xFFFFFFFF)
    if tail := key[whole:]:
        h = ((h ^ int.from_bytes(tail, "little")) * _M) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * _M) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0x7FFFFFFF) % partitions
