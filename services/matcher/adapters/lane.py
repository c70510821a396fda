"""A lane: one partition that this instance owns, from restore to revoke.

    restore ──► serve: take what waits, judge it, publish it in one transaction ──┐
       ▲                                                                           │
       └── broker trouble: the state in memory is ahead of what is durable, so it is thrown away

Inputs are custody events, changes of what every instance reads whole (`broadcasts`), and time. Whatever waits is judged
together, so that a backlog makes large transactions and a single event a small one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Final

from aiokafka import ConsumerRecord

from services.matcher.adapters.broadcasts import Broadcast, Key
from services.matcher.adapters.changelog import Progress, load, progress_among
from services.matcher.adapters.clock import Clock
from services.matcher.adapters.inbox import Inbox
from services.matcher.adapters.traces import Contexts
from services.matcher.adapters.transaction import Transaction
from services.matcher.adapters.writer import StateLog, Writer
from services.matcher.domain.ground import Ground
from services.matcher.domain.partition import PartitionState
from services.matcher.metrics import EPISODES, RESTORE
from services.matcher.settings import MatcherSettings
from services.platform.errors import Fenced, Unavailable
from services.platform.logs import get_logger

__all__ = ["Lane", "Parked"]

log = get_logger(__name__)
_EPOCHS: Final = count(1)
"""No two restores of this process share one: a batch that was taken for the lane before this one is no batch of its."""
_LOOK_S: Final = 0.05
"""Seconds between two looks for the end of the backlog."""
_BREATH_S: Final = 0.05
"""Seconds of judging after which the event loop has its turn: heartbeats, other lanes, HTTP."""


class Parked:
    """The state of a partition that was given up cleanly: good again if the partition comes back, after reading what
    others wrote since `state_offset`."""

    __slots__ = ("progress", "state", "state_offset")

    def __init__(self, state: PartitionState, progress: Progress, state_offset: int) -> None:
        self.state = state
        self.progress = progress
        self.state_offset = state_offset


class Lane:
    """See the module. Made when the partition is assigned; `ask_to_stop` gives it up.

    store: where the partition's state is kept. clock: what time it is.
    partition, partitions: which one it is of how many.
    ground: what it judges by. wholes: the topics that bring changes of it.
    ground_ready: returns once the ground holds all that was there when this instance started, and all up to a
        `Progress.seen`: another owner may have read on, and judging by older detainers would undo what it told.
    ground_position: name of a broadcast -> partition -> next offset that is not in its book yet.
    custody_end: the end offset of the partition of custody.events.v1. custody_read: whether all before such an offset
        has been offered. Both raise Unavailable.
    contexts: the traces that changes of the ground belong to.
    on_restoring: called with the partition before the lane restores, and before its writer starts: raises Unavailable
        where the partition is not ours.
    on_restored: called, with the offset of custody.events.v1 to go on from, each time the lane begins to serve.
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        settings: MatcherSettings,
        ground: Ground,
        wholes: Sequence[Broadcast],
        *,
        store: StateLog,
        clock: Clock,
        ground_ready: Callable[[Mapping[str, Mapping[str, int]]], Awaitable[None]],
        ground_position: Callable[[], dict[str, dict[int, int]]],
        on_restored: Callable[[int, int], None],
        on_restoring: Callable[[int], None],
        custody_end: Callable[[int], Awaitable[int]],
        custody_read: Callable[[int, int], Awaitable[bool]],
        contexts: Contexts,
        parked: Parked | None = None,
    ) -> None:
        self.partition = partition
        self.epoch = 0
        self.serving = False
        self.progress = Progress()
        self._settings = settings
        self._ground = ground
        self._store = store
        self._clock = clock
        self._ground_ready = ground_ready
        self._ground_position = ground_position
        self._on_restored = on_restored
        self._on_restoring = on_restoring
        self._custody_end = custody_end
        self._custody_read = custody_read
        self._backlog_end: int | None = None
        self._contexts = contexts
        self._parked = parked
        self._partitions = partitions
        self._state = PartitionState(ground, partition, partitions)
        self._state_offset = 0
        self._clean = True
        self._inbox = Inbox(wholes, self._due)
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._stopping = asyncio.Event()
        self._finishing = False
        self._flushed_at = clock.elapsed()

    async def run(self) -> None:
        """Restore and serve until asked to stop. Broker trouble is waited out here.

        Fenced: another instance began to serve the partition. The group will take it from us at its next heartbeat;
        should it not, because the other one is gone again, then it is ours after a while.
        """
        # Whoever finishes takes nothing up again: it is given to another by now, whom a new writer of ours would fence.
        while not self._is_given_up:
            writer = self._store.writer(self.partition)
            try:
                await self._restore(writer)
                if self.serving:
                    await self._serve(writer)
            except Fenced:
                log.warning("partition_lost", partition=self.partition, code=Fenced.code)
                await self._pause(self._settings.fenced_retry_s)
            except Unavailable as error:
                log.warning("partition_interrupted", partition=self.partition, code=error.code, reason=str(error))
                await self._pause(self._settings.restore_retry_s)
            finally:
                self.serving = False
                await writer.stop()
        self._idle.set()

    @property
    def state(self) -> PartitionState:
        """The episodes as they are in memory, which may be ahead of what is durable; to be read only."""
        return self._state

    @property
    def is_busy(self) -> bool:
        """Custody events wait, or were judged and are not durable yet."""
        return bool(self._inbox.events) or not self._clean

    def ask_to_stop(self) -> None:
        """Finish the transaction in hand, take up no other; `run` then returns."""
        self._stopping.set()
        self._wake.set()
        self._room.set()

    def park(self) -> Parked | None:
        """The state, once `run` has returned, if it agrees with what is durable."""
        return Parked(self._state, self.progress, self._state_offset) if self._clean and self.epoch else None

    async def drained(self, budget_s: float) -> None:
        """Wait, `budget_s` seconds at most, until nothing waits and all is durable, or cannot be any more.

        The lane ends if it cannot: what it had in hand is for whoever has the partition then.
        """
        self._finishing = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), budget_s if self.serving else 0)

    def offer_events(self, records: Sequence[ConsumerRecord], epoch: int) -> None:
        """Custody events, in order. Those taken before the lane last restored are dropped: they come again."""
        if not self.serving or epoch != self.epoch:
            return
        self._inbox.events.extend(records)
        if len(self._inbox.events) >= self._settings.inbox_limit:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Wait until the inbox has room."""
        await self._room.wait()

    def offer_changes(self, name: str, keys: Sequence[Key], positions: Mapping[int, int]) -> None:
        """What has changed in the book of the broadcast `name`, up to `positions`."""
        if not self.serving:
            return  # the restore asks the book for all that the partition has not seen
        if self._inbox.change(name, keys, positions, self._state):
            self._wake.set()

    @property
    def _is_given_up(self) -> bool:
        return self._stopping.is_set() or self._finishing

    async def _pause(self, seconds: float) -> None:
        """Wait, unless asked to stop."""
        while not self._is_given_up:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                return

    async def _restore(self, writer: Writer) -> None:
        started = self._clock.elapsed()
        self._on_restoring(self.partition)
        await self._ground_ready({})
        # That may have been long, or this process was paused in it: a writer that starts now could fence the heir.
        if self._is_given_up:
            return
        self._on_restoring(self.partition)
        await writer.start()
        if self._parked is not None and self._clean:
            self._state, progress, start = self._parked.state, self._parked.progress, self._parked.state_offset
            judged: Progress | None = progress
        else:
            self._state = PartitionState(self._ground, self.partition, self._partitions)
            progress, start, judged = Progress(), 0, None
        self._parked = None
        self._clean = False
        # What waited while nobody served is judged by the time of its own, and timers wait: see Transaction.
        self._backlog_end = await self._custody_end(self.partition)
        newest, self._state_offset = await self._store.read(self.partition, start)
        # Loading leaves out what an operator discarded: by breakers as new as those that the last owner judged by.
        await self._ground_ready(progress_among(newest, progress).seen)
        progress = load(self._state, newest, progress)
        if progress.custody < self.progress.custody:
            # It is judged again. What of it is on other topics may come to be seen later, and then twice (ADR 27).
            reason = f"acknowledged up to {self.progress.custody}"
            log.error("commit_undone", partition=self.partition, offset=progress.custody, reason=reason)
        self.progress = progress
        self._state.tallies.restore(self._ground.feeds.of_partition(self.partition), self._now())
        self._state.begin()
        self._clean = True
        self._room.set()
        # A state that was parked has timers of before: what another instance judged meanwhile, and found to change
        # nothing that is written, may have moved them.
        self._inbox.restart(self._state, judged or self.progress, self._ground_position(), self._ground.engine.model)
        self.epoch = next(_EPOCHS)
        self.serving = True
        self._wake.set()
        self._on_restored(self.partition, self.progress.custody)
        RESTORE.observe(self._clock.elapsed() - started)
        EPISODES.labels(str(self.partition)).set(len(self._state.episodes))
        log.info(
            "partition_restored",
            partition=self.partition,
            offset=self.progress.custody,
            count=len(self._state.episodes),
        )
        if self._inbox.stale:
            log.info(
                "identity_model_changed",
                partition=self.partition,
                reason=f"{self.progress.model or 'unknown'} to {self._ground.engine.model}",
                count=len(self._inbox.stale),
            )

    async def _serve(self, writer: Writer) -> None:
        while not self._stopping.is_set():
            if self._backlog_end is not None and not self._inbox.events:
                await self._look_for_the_end(self._backlog_end)
            if self._inbox.is_empty:
                self._wake.clear()
                self._idle.set()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._until_timer())
                if self._stopping.is_set():
                    return
            await self._turn(writer)

    def _is_flush_due(self, progress: Progress) -> bool:
        """Whether it is time to write a progress that nothing else came with; time itself is left out of account."""
        if (progress.seen, progress.model) == (self.progress.seen, self.progress.model):
            return False
        return self._clock.elapsed() - self._flushed_at >= self._settings.progress_flush_s

    def _until_timer(self) -> float:
        """Seconds to wait for something to do: until the next timer runs out, or progress should be written."""
        if self._backlog_end is not None:
            return _LOOK_S
        at = self._state.timers.next()
        flush_s = self._settings.progress_flush_s
        if at is None:
            return flush_s
        return min(flush_s, max(0.0, (at - self._now()).total_seconds()))

    def _now(self) -> datetime:
        return max(self._state.clock, self._clock.now())

    def _due(self) -> bool:
        at = self._state.timers.next()
        return self._backlog_end is None and at is not None and at <= self._now()

    async def _look_for_the_end(self, end: int) -> None:
        self._wake.clear()
        if await self._custody_read(self.partition, end) and not self._inbox.events:
            self._backlog_end = None

    def _progress(self, custody: int) -> Progress:
        return self._inbox.progress(self.progress, custody, self._ground.engine.model, self._state.clock)

    async def _turn(self, writer: Writer) -> None:
        """Judge what waits, up to a limit, and publish it."""
        self._idle.clear()
        started = self._clock.elapsed()
        self._clean = False
        behind = self._backlog_end is not None
        now, custody = self._clock.now(), self.progress.custody
        transaction = Transaction(self.partition, self._state, custody, now, behind=behind, contexts=self._contexts)
        spent, slice_began = 0.0, started
        for turn in range(self._settings.transaction_max_inputs):
            taken = self._inbox.take(turn)
            if taken is None:
                break
            transaction.judge(taken)
            slice_s = self._clock.elapsed() - slice_began
            if spent + slice_s > self._settings.transaction_judging_s:
                break
            if slice_s > _BREATH_S:
                await asyncio.sleep(0)
                spent, slice_began = spent + slice_s, self._clock.elapsed()
        records, progress = transaction.records(), self._progress(transaction.custody)
        # What led to nothing, such as a detainer that is nobody's here, is as well judged again after a crash: that it
        # was judged is written now and then, and not at the price of a transaction each.
        if records or progress.custody != self.progress.custody or self._is_flush_due(progress):
            try:
                self._state_offset = await writer.publish([*records, transaction.progress_record(progress)])
            except (Fenced, Unavailable) as error:
                transaction.failed(error.code)
                raise
            self.progress, self._flushed_at = progress, self._clock.elapsed()
        self._clean = True
        if len(self._inbox.events) < self._settings.inbox_limit:
            self._room.set()
        transaction.committed(self._clock.elapsed() - started, self._clock.now())
