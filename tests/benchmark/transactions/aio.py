"""(1) and (4): aiokafka, a lane a partition, each publishing by itself; progress is in the changelog."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from services.matcher.adapters.writer import KafkaStateLog, PartitionWriter, Writer
from services.platform.errors import SallyportError
from services.platform.kafka.clients import make_producer
from services.platform.kafka.outlets import OutRecord
from services.platform.settings import PlatformSettings
from tests.benchmark.transactions.common import EVENTS, PARTITIONS, Control, Task, outputs, progress
from tests.support.plain import plain

__all__ = ["run"]

_READ_AHEAD = 5000


class _Hesitant(PartitionWriter):
    """The matcher's own writer; one of its transactions may be told to wait just before its commit."""

    def __init__(self, settings: PlatformSettings, group: str, partition: int, control: Control) -> None:
        super().__init__(settings, f"{group}-{partition}")
        commit = self._producer.commit_transaction

        async def hesitate() -> None:
            if control.take_hang():
                await self._producer.flush()
                await asyncio.to_thread(control.wait_go, [partition])
            await commit()

        self._producer.commit_transaction = hesitate


class _Plain:
    """Without transactions: every record is acknowledged, some of them maybe without the others."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def publish(self, records: Sequence[OutRecord]) -> int:
        futures = [
            await self._producer.send(r.topic, key=r.key, value=r.value, headers=r.headers, partition=r.partition)
            for r in records
        ]
        sent = await asyncio.gather(*futures)
        offset: int = sent[-1].offset
        return offset + 1


class _Lanes(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, task: Task, control: Control, producer: AIOKafkaProducer | None) -> None:
        self._task, self._control, self._producer = task, control, producer
        self._settings = plain(task.bootstrap)
        self._log = KafkaStateLog(self._settings, task.group)
        self.consumer: AIOKafkaConsumer | None = None
        self._waiting: dict[int, deque[tuple[bytes, bytes]]] = {}
        self._expected: dict[int, int] = {}
        self._wake: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Event()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        for tp in assigned:
            self._wake[tp.partition] = asyncio.Event()
            if self.consumer is not None:
                self.consumer.pause(tp)
            self._tasks[tp.partition] = asyncio.create_task(self._lane(tp))
        self._control.say("assigned", partitions=sorted(tp.partition for tp in assigned))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        tasks = [self._tasks.pop(tp.partition) for tp in revoked if tp.partition in self._tasks]
        for tp in revoked:
            self._expected.pop(tp.partition, None)
            if tp.partition in self._wake:
                self._wake.pop(tp.partition).set()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)

    async def read(self) -> None:
        consumer = self.consumer
        assert consumer is not None
        for tp, records in (await consumer.getmany(timeout_ms=100, max_records=4000)).items():
            queue = self._waiting.setdefault(tp.partition, deque())
            for record in records:
                # What left the consumer before a lane found out where to go on comes again.
                if record.offset == self._expected.get(tp.partition, -1):
                    queue.append((record.key, record.value))
                    self._expected[tp.partition] += 1
            if tp.partition in self._wake:
                self._wake[tp.partition].set()
        if self._is_full():
            self._room.clear()
            await self._room.wait()

    def _is_full(self) -> bool:
        # More than one fetch of all partitions, so that no lane is idle while others have a backlog.
        return sum(map(len, self._waiting.values())) > _READ_AHEAD * PARTITIONS

    async def _lane(self, tp: TopicPartition) -> None:
        wake = self._wake[tp.partition]
        writer: Writer = (
            _Plain(self._producer)
            if self._producer is not None
            else _Hesitant(self._settings, self._task.group, tp.partition, self._control)
        )
        await writer.start()
        offset = 0
        if not self._task.alone:
            newest, _ = await self._log.read(tp.partition, 0)
            offset = json.loads(newest.get(b"progress") or b'{"custody":0}')["custody"]
        queue: deque[tuple[bytes, bytes]] = deque()
        self._waiting[tp.partition] = queue
        self._expected[tp.partition] = offset
        assert self.consumer is not None
        self.consumer.seek(tp, offset)
        self.consumer.resume(tp)
        try:
            while self._wake.get(tp.partition) is wake and not self._control.stopping:
                if not queue:
                    wake.clear()
                    await wake.wait()
                    continue
                count = min(len(queue), self._task.inputs)
                records: list[OutRecord] = []
                for _ in range(count):
                    records.extend(outputs(*queue.popleft(), tp.partition))
                if not self._is_full():
                    self._room.set()
                offset += count
                records.append(progress(tp.partition, offset))
                began = time.monotonic()
                await writer.publish(records)
                self._control.committed(count, time.monotonic() - began)
        except SallyportError as error:
            self._control.say("refused", error=f"{type(error).__name__}: {type(error.__cause__).__name__}")
        finally:
            self._room.set()
            queue.clear()
            await writer.stop()

    async def close(self) -> None:
        for wake in self._wake.values():
            wake.set()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=10)


async def run(task: Task, control: Control, transactional: bool) -> None:
    settings = plain(task.bootstrap)
    producer = None if transactional else make_producer(settings, max_batch_size=512 * 1024)
    if producer is not None:
        await producer.start()
    lanes = _Lanes(task, control, producer)
    consumer = lanes.consumer = AIOKafkaConsumer(
        bootstrap_servers=task.bootstrap,
        group_id=None if task.alone else task.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        session_timeout_ms=task.session_timeout_ms,
        heartbeat_interval_ms=task.session_timeout_ms // 4,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    if task.alone:
        every = {TopicPartition(EVENTS, p) for p in range(PARTITIONS)}
        consumer.assign(every)
        await lanes.on_partitions_assigned(every)
    else:
        consumer.subscribe([EVENTS], listener=lanes)
    while not control.stopping:
        await lanes.read()
    await lanes.close()
    await consumer.stop()
    if producer is not None:
        await producer.stop()
