"""Kafka's clients as the services see them: what of aiokafka they call, over the model of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import ConcurrentTransactions, KafkaConnectionError, KafkaError, RebalanceInProgressError

from services.platform.kafka.lanes import InDoubt, NotTaken, partition_of
from services.platform.kafka.outlets import OutRecord
from tests.simulation.group import SESSION_S
from tests.simulation.kafka import Broker, Entry

__all__ = ["Consumer", "GroupConsumer", "ModelOutlet", "Producer"]

Key = tuple[str, int]
_BACKOFF_S = 0.1
_POLL_S = 5.0


class Producer:
    """AIOKafkaProducer with a transactional id: start, begin_transaction, send, commit_transaction, stop."""

    def __init__(self, broker: Broker, transactional_id: str) -> None:
        self._broker = broker
        self._id = transactional_id
        self._epoch = -1
        self._batches: dict[Key, list[tuple[Any, asyncio.Future[Any]]]] = {}
        self._sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Waits for as long as it takes; whoever calls it has a deadline."""
        while True:
            try:
                self._epoch = await self._broker.request(self._broker.init_producer, self._id)
                return
            except ConcurrentTransactions:
                await asyncio.sleep(0.02)
            except KafkaError:
                await asyncio.sleep(_BACKOFF_S)

    async def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        await asyncio.sleep(0)

    async def begin_transaction(self) -> None:
        await self.flush()

    async def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None,
    ) -> asyncio.Future[Any]:
        if partition is None:
            partition = partition_of(key or b"", self._broker.partitions[topic])
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._batches.setdefault((topic, partition), []).append(((key, value, headers), future))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return future

    async def commit_transaction(self) -> None:
        await self.flush()
        await self._retried(self._broker.end_transaction, self._id, self._epoch, True)

    async def flush(self) -> None:
        """Return once all that was sent is acknowledged, or given up."""
        if self._sending is not None:
            await asyncio.wait({self._sending})

    async def _send(self) -> None:
        """What was sent goes out, partition by partition. As with aiokafka, a batch that is given up fails its records
        and nothing else: a commit goes on without them."""
        while self._batches:
            batches, self._batches = self._batches, {}
            for key in self._broker.rng.sample(sorted(batches), len(batches)):
                records = [record for record, _ in batches[key]]
                try:
                    first = await self._retried(self._broker.append, key, records, self._id, self._epoch)
                except KafkaError as error:
                    for _, future in batches[key]:
                        future.set_exception(error)
                        future.exception()  # whoever does not ask is not told
                else:
                    for index, (_, future) in enumerate(batches[key]):
                        future.set_result(_Metadata(first + index))

    async def _retried(self, serve: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                return await self._broker.request(serve, *args)
            except ConcurrentTransactions:
                await asyncio.sleep(0.02)


class _Metadata:
    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset


class _Reader:
    """Positions in partitions, and a poll that may be cut short."""

    def __init__(self, broker: Broker, committed: bool) -> None:
        self._broker = broker
        self._committed = committed
        self._assigned: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._polling: asyncio.Future[Any] | None = None

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._assigned)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused.difference_update(partitions)
        self._poke()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._assigned:
            raise AssertionError("seek in a partition that is not assigned")
        self._positions[partition] = offset
        self._poke()

    def positions(self) -> dict[int, int]:
        """Partition -> next offset, of those that are assigned."""
        return {tp.partition: offset for tp, offset in self._positions.items() if tp in self._assigned}

    async def position(self, partition: TopicPartition) -> int:
        return self._positions.get(partition, 0)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        keys = [(tp.topic, tp.partition) for tp in partitions]
        ends = await self._broker.request(self._broker.ends, keys, self._committed)
        return {TopicPartition(*key): end for key, end in ends.items()}

    def _poke(self) -> None:
        if self._polling is not None and not self._polling.done():
            self._polling.set_result({})

    async def _poll(self, limit: int, wait_s: float) -> dict[TopicPartition, list[ConsumerRecord]]:
        asked = [(tp, self._positions[tp]) for tp in sorted(self._assigned - self._paused) if tp in self._positions]
        if not asked:
            self._polling = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(wait_s, self._poke)
        else:
            wanted = [(tp.topic, tp.partition, position) for tp, position in asked]
            self._polling = self._broker.request(self._broker.fetch, wanted, limit, wait_s, self._committed)
        try:
            answer: dict[Key, tuple[list[Entry], int]] = await self._polling
        except KafkaError:
            await asyncio.sleep(_BACKOFF_S)
            return {}
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        for tp, position in asked:
            got = answer.get((tp.topic, tp.partition))
            current = tp in self._assigned and tp not in self._paused and self._positions.get(tp) == position
            if got is not None and current:
                self._positions[tp] = got[1]
                if got[0]:
                    found[tp] = [_record(tp, entry) for entry in got[0]]
        return found


class Consumer(_Reader):
    """AIOKafkaConsumer without a group."""

    def __init__(self, broker: Broker, committed: bool = True) -> None:
        super().__init__(broker, committed)

    async def start(self) -> None:
        await self._broker.request(self._broker.ends, [])

    async def stop(self) -> None:
        self._poke()

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._assigned = set(partitions)
        self._positions = dict.fromkeys(partitions, 0)

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        return await self._poll(1000, timeout_ms / 1000)


class GroupConsumer(_Reader):
    """AIOKafkaConsumer in a group, with its coordinator's task, which `run` is: eager rebalances, as aiokafka's are."""

    def __init__(
        self, broker: Broker, group: str, topic: str, name: str, listener: ConsumerRebalanceListener | None = None
    ) -> None:
        super().__init__(broker, committed=True)
        self._group = broker.group(group, topic)
        self._name = name
        self._listener = listener
        self._generation = -1
        self._settled = asyncio.Event()
        self._left = False

    async def run(self) -> None:
        """Join, be told, keep in touch; and again."""
        while not self._left:
            self._settled.clear()
            self._poke()
            if self._listener is not None:
                await self._listener.on_partitions_revoked(set(self._assigned))
            try:
                self._generation, keys = await self._broker.request(self._group.join, self._name)
            except KafkaError:
                await asyncio.sleep(_BACKOFF_S)
                continue
            self._assigned = {TopicPartition(*key) for key in keys}
            self._paused, self._positions = set(), {}
            if self._listener is not None:
                await self._listener.on_partitions_assigned(set(self._assigned))
            await self._positioned(keys)
            self._settled.set()
            await self._keep_in_touch()

    async def _positioned(self, keys: Sequence[Key]) -> None:
        """Where nobody has sought yet, the committed offset counts."""
        while True:
            try:
                offsets = await self._broker.request(self._group.committed, keys)
            except KafkaError:
                await asyncio.sleep(_BACKOFF_S)
                continue
            for key, offset in offsets.items():
                self._positions.setdefault(TopicPartition(*key), offset)
            return

    async def _keep_in_touch(self) -> None:
        while not self._left:
            await asyncio.sleep(SESSION_S / 4)
            try:
                await self._broker.request(self._group.heartbeat, self._name, self._generation)
            except KafkaConnectionError:
                continue
            except KafkaError as error:
                if error.retriable and not isinstance(error, RebalanceInProgressError):
                    continue
                return

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._broker.partitions[topic]))

    async def getmany(self, max_records: int) -> tuple[ConsumerRecord, ...]:
        """A batch; empty at times."""
        await self._settled.wait()  # aiokafka gives nothing out while partitions are dealt anew
        found = await self._poll(max_records, _POLL_S)
        if not self._settled.is_set():
            return ()  # they come again, to whoever has the partition then
        return tuple(record for tp in sorted(found) for record in found[tp])

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        given = {(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
        await self._broker.request(self._group.commit, self._name, self._generation, given)

    async def leave(self) -> None:
        """Out of the group; the listener is not asked."""
        self._left = True
        self._poke()
        try:
            await self._broker.request(self._group.leave, self._name)
        except KafkaError:
            return  # its session runs out


class ModelOutlet:
    """services.platform.kafka.outlets.Outlet: records that stand by themselves."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def send(self, records: Sequence[OutRecord]) -> list[BaseException | None]:
        return [await self._one(record) for record in records]

    async def _one(self, record: OutRecord) -> BaseException | None:
        partition = record.partition
        if partition is None:
            partition = partition_of(record.key, self._broker.partitions[record.topic])
        key = (record.topic, partition)
        try:
            await self._broker.request(self._broker.append, key, [(record.key, record.value, record.headers)])
        except KafkaConnectionError as error:
            return NotTaken(str(error))
        except KafkaError as error:
            return InDoubt(str(error))
        return None


def _record(tp: TopicPartition, entry: Entry) -> ConsumerRecord:
    key, value = entry.key, entry.value
    return ConsumerRecord(
        tp.topic, tp.partition, entry.offset, 0, 0, key, value, None, len(key or b""), len(value or b""), entry.headers
    )
