"""Which partitions are ours, and what comes in on them: the consumer side of the matcher."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from services.matcher.adapters.broadcasts import Broadcast, Key, broadcasts
from services.matcher.adapters.clock import Clock
from services.matcher.adapters.lane import Lane, Parked
from services.matcher.adapters.membership import Membership
from services.matcher.adapters.records import CUSTODY_UNREADABLE
from services.matcher.adapters.traces import Contexts
from services.matcher.adapters.writer import StateLog
from services.matcher.domain.fold import REFUSALS
from services.matcher.domain.ground import Ground
from services.matcher.domain.partition import PartitionState
from services.matcher.metrics import DETAINERS
from services.matcher.settings import MatcherSettings
from services.platform.errors import BrokerUnavailable, ContractViolation
from services.platform.kafka.batches import Records
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS

__all__ = ["CUSTODY_TOPIC", "Ownership"]

log = get_logger(__name__)
CUSTODY_TOPIC: Final = "custody.events.v1"


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Makes a lane for each partition assigned, and hands each lane what is its own.

    store, clock: as for Lane.
    membership: keeps us from joining the group again where another process has our place.
    spawn: runs a lane's coroutine; what it raises fails the process.
    ground_ready: returns once the ground holds all that was there at the start.
    on_unreadable: keeps a record of a broadcast topic that cannot be read (G1).
    """

    def __init__(
        self,
        settings: MatcherSettings,
        ground: Ground,
        *,
        store: StateLog,
        clock: Clock,
        consumer: Callable[[], AIOKafkaConsumer | None],
        membership: Membership,
        spawn: Callable[..., asyncio.Task[None]],
        ground_ready: Callable[[], Awaitable[None]],
        on_unreadable: Callable[[ConsumerRecord, ContractViolation], None],
    ) -> None:
        self._settings = settings
        self._ground = ground
        self.wholes = broadcasts(ground)
        for code in (CUSTODY_UNREADABLE, *REFUSALS, *(whole.unreadable for whole in self.wholes)):
            REJECTS.labels(code)  # from 0 on: a burst after a start is an increase
        self._store = store
        self._clock = clock
        self._consumer = consumer
        self._membership = membership
        self._spawn = spawn
        self._ground_ready = ground_ready
        self._on_unreadable = on_unreadable
        self._contexts = Contexts()
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._parked: dict[int, Parked] = {}
        self._taken: dict[int, int] = {}
        self._in_hand = False
        self._advanced = asyncio.Event()
        self._floor: dict[str, Mapping[int, int]] = {}
        self._position: dict[str, dict[int, int]] = {whole.name: {} for whole in self.wholes}
        self.assigned = False

    # -- custody.events.v1 -----------------------------------------------------------------------------------------

    def taken(self, records: Records) -> None:
        """A batch has left the consumer: note under which epoch of each lane, before anything else can happen."""
        self._taken = {p: lane.epoch for p, lane in self._lanes.items() if lane.serving}
        self._in_hand = True

    async def custody(self, records: Records) -> None:
        """Hand a batch of custody events to the lanes; held back while an inbox is full."""
        epochs = self._taken
        by_partition: dict[int, list[ConsumerRecord]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        for partition, own in by_partition.items():
            lane = self._lanes.get(partition)
            if lane is not None:
                lane.offer_events(own, epochs.get(partition, -1))
        self._in_hand = False
        for partition in by_partition:
            lane = self._lanes.get(partition)
            if lane is not None:
                await lane.room()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        consumer = self._consumer()
        if consumer is None:
            raise AssertionError("partitions assigned to a consumer that is not there")
        # Nothing is fetched until the lane knows from where: its progress counts, not the group's offsets.
        consumer.pause(*assigned)
        self._membership.joined()
        partitions = len(consumer.partitions_for_topic(CUSTODY_TOPIC) or ())
        for tp in sorted(assigned):
            lane = Lane(
                tp.partition,
                partitions,
                self._settings,
                self._ground,
                self.wholes,
                store=self._store,
                clock=self._clock,
                ground_ready=self._ground_reaches,
                ground_position=lambda: {name: dict(position) for name, position in self._position.items()},
                on_restored=self._resume,
                on_restoring=self._pause,
                custody_end=self._end,
                custody_read=self._is_read,
                contexts=self._contexts,
                parked=self._parked.pop(tp.partition, None),
            )
            self._lanes[tp.partition] = lane
            self._tasks[tp.partition] = self._spawn(lane.run(), f"lane-{tp.partition}")
        self._parked.clear()
        self.assigned = True
        log.info("partitions_assigned", partitions=sorted(tp.partition for tp in assigned))

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self.give_up([tp.partition for tp in revoked], self._settings.revoke_budget_s)
        self.assigned = False
        log.info("partitions_revoked", partitions=sorted(tp.partition for tp in revoked))
        await self._membership.before_joining()

    async def give_up(self, partitions: list[int], budget_s: float) -> None:
        """Stop lanes within one budget for all; a transaction that takes longer is aborted, and nothing of it shows."""
        lanes = {p: lane for p in partitions if (lane := self._lanes.pop(p, None)) is not None}
        tasks = {p: task for p in lanes if (task := self._tasks.pop(p, None)) is not None}
        for lane in lanes.values():
            lane.ask_to_stop()
        if tasks:
            _, late = await asyncio.wait(tasks.values(), timeout=budget_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for partition, lane in lanes.items():
            parked = lane.park()
            if parked is not None:
                self._parked[partition] = parked

    async def finish(self, budget_s: float) -> None:
        """Let the lanes publish what they have, within the budget, and give them up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + budget_s
        await asyncio.gather(*(lane.drained(budget_s) for lane in self._lanes.values()))
        await self.give_up(self.partitions(), max(0.5, until - loop.time()))

    async def _end(self, partition: int) -> int:
        """The end offset of a partition that is ours. Raises BrokerUnavailable."""
        tp = TopicPartition(CUSTODY_TOPIC, partition)
        try:
            consumer = self._consumer()
            if consumer is None or tp not in consumer.assignment():
                raise BrokerUnavailable("the partition is not ours any more")
            end: int = (await consumer.end_offsets([tp]))[tp]
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"the end of {CUSTODY_TOPIC} is not known: {type(error).__name__}") from error
        return end

    async def _is_read(self, partition: int, end: int) -> bool:
        """Whether all before `end` has been offered to the lane. Raises BrokerUnavailable.

        By the consumer's position, since the last offset may be a transaction's marker, which is no record.
        """
        tp = TopicPartition(CUSTODY_TOPIC, partition)
        consumer = self._consumer()
        try:
            if consumer is None or tp not in consumer.assignment():
                raise BrokerUnavailable("the partition is not ours any more")
            position: int = await consumer.position(tp)
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"the position in {CUSTODY_TOPIC} is not known: {type(error).__name__}") from error
        return position >= end and not self._in_hand

    def _pause(self, partition: int) -> None:
        """Before a lane restores. Raises BrokerUnavailable where the partition is not ours: its writer, once started,
        would fence whoever has it."""
        consumer = self._consumer()
        tp = TopicPartition(CUSTODY_TOPIC, partition)
        if consumer is None or tp not in consumer.assignment():
            raise BrokerUnavailable("the partition is not ours any more")
        consumer.pause(tp)

    def _resume(self, partition: int, offset: int) -> None:
        consumer = self._consumer()
        tp = TopicPartition(CUSTODY_TOPIC, partition)
        if consumer is not None and tp in consumer.assignment():
            consumer.seek(tp, offset)
            consumer.resume(tp)

    async def _ground_reaches(self, seen: Mapping[str, Mapping[str, int]]) -> None:
        """Return once the ground is read as far as at the start, and up to `seen`."""
        await self._ground_ready()
        awaited = {whole.name for whole in self.wholes if whole.awaited}
        wanted = [(name, int(p), to) for name, offsets in seen.items() if name in awaited for p, to in offsets.items()]
        for name, partition, to in wanted:
            if not self._has_read(name, partition, to):
                # For a moment, as a rule; for ever if the topic was made anew, and somebody has to see that.
                log.warning("ground_behind", table=name, partition=partition, offset=to)
        while not all(self._has_read(*position) for position in wanted):
            self._advanced.clear()
            await self._advanced.wait()

    def _has_read(self, name: str, partition: int, to: int) -> bool:
        """By records, since `seen` counts in them; or by where the reader began, if all before has been deleted."""
        floor = self._floor.get(name, {})
        return max(self._position.get(name, {}).get(partition, 0), floor.get(partition, 0)) >= to

    def began(self, name: str, positions: Mapping[int, int]) -> None:
        """Where the reader of a broadcast stood once all that was there at the start had been taken in."""
        self._floor[name] = dict(positions)

    # -- what every instance reads whole ---------------------------------------------------------------------------

    async def broadcast(self, whole: Broadcast, records: Records) -> None:
        """Take records of a broadcast topic into its book, and let every lane judge what they changed."""
        changed: dict[Key, None] = {}
        positions: dict[int, int] = {}
        for record in records:
            positions[record.partition] = record.offset + 1
            try:
                key = whole.taken(record)
            except ContractViolation as violation:
                self._on_unreadable(record, violation)
                continue
            if key is not None:
                changed[key] = None
                self._contexts.note(whole.name, key, record)
        self._position[whole.name].update(positions)
        self._advanced.set()
        DETAINERS.set(len(self._ground.detainers))
        for lane in self._lanes.values():
            lane.offer_changes(whole.name, list(changed), positions)

    # -- health ----------------------------------------------------------------------------------------------------

    def handled(self) -> dict[int, int]:
        """Partition -> next offset of custody.events.v1 that is not durable yet, where a lane has something in hand.

        A lane with nothing in hand is left out, and the consumer's position tells: that is past the commit marker of a
        transaction (a roster's), which has an offset, and is no record that a lane would ever see.
        """
        return {p: lane.progress.custody for p, lane in self._lanes.items() if lane.serving and lane.is_busy}

    def ready(self) -> str | None:
        """For Health.ready: every partition that is ours is restored."""
        waiting = sorted(p for p, lane in self._lanes.items() if not lane.serving)
        if not self.assigned:
            return "no partitions assigned yet"
        return f"partitions not restored yet: {waiting}" if waiting else None

    def states(self) -> dict[int, PartitionState]:
        """Partition -> its episodes, of the lanes that serve."""
        return {p: lane.state for p, lane in self._lanes.items() if lane.serving}

    def partitions(self) -> list[int]:
        return sorted(self._lanes)
