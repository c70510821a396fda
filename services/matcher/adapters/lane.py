"""A lane: one partition that this instance owns, from restore to revoke.

    restore ──► serve: take what waits, judge it, publish it in one transaction ──┐
       ▲                                                                           │
       └── broker trouble: the state in memory is ahead of what is durable, so it is thrown away

Inputs come from two consumers (custody events and detainers) into one inbox; whatever waits is judged together,
so that a backlog makes large transactions and a single event a small one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from aiokafka import ConsumerRecord

from services.matcher.adapters.changelog import (
    PROGRESS_KEY,
    STATE_TOPIC,
    Progress,
    encode_episode,
    encode_progress,
    load,
)
from services.matcher.adapters.clock import Clock
from services.matcher.adapters.records import conflict_record, custody_input_of, review_record
from services.matcher.adapters.writer import StateLog, Writer
from services.matcher.domain.book import DetainerBook
from services.matcher.domain.fold import CustodyInput, DetainerInput, Input, ModelInput, evolve
from services.matcher.domain.partition import PartitionState
from services.matcher.metrics import AGE, CONFLICTS, EPISODES, INPUTS, RESTORE, REVIEWS, TRANSACTION
from services.matcher.settings import MatcherSettings
from services.platform.errors import ContractViolation, Fenced, Unavailable
from services.platform.kafka.outlets import OutRecord
from services.platform.kafka.rejects import unreadable
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS

__all__ = ["Lane", "Parked"]

log = get_logger(__name__)
_BREATH_S: Final = 0.05
"""Seconds of judging after which the event loop has its turn: heartbeats, other lanes, HTTP."""
_KINDS: Final[Mapping[type[Input], str]] = {
    CustodyInput: "custody",
    DetainerInput: "detainer",
    ModelInput: "identity_model",
}


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
    book_ready: returns once the book of detainers holds all that was there when this instance started.
    book_position: partition of detainers.v1 -> next offset that is not in the book yet.
    on_restored: called, with the offset of custody.events.v1 to go on from, each time the lane begins to serve.
    """

    def __init__(
        self,
        partition: int,
        settings: MatcherSettings,
        book: DetainerBook,
        *,
        store: StateLog,
        clock: Clock,
        book_ready: Callable[[], Awaitable[None]],
        book_position: Callable[[], dict[int, int]],
        on_restored: Callable[[int, int], None],
        on_restoring: Callable[[int], None],
        parked: Parked | None = None,
    ) -> None:
        self.partition = partition
        self.epoch = 0
        self.serving = False
        self.progress = Progress()
        self._settings = settings
        self._book = book
        self._store = store
        self._clock = clock
        self._book_ready = book_ready
        self._book_position = book_position
        self._on_restored = on_restored
        self._on_restoring = on_restoring
        self._parked = parked
        self._state = PartitionState(book, timedelta(days=settings.look_back_days))
        self._state_offset = 0
        self._clean = True
        self._custody: deque[ConsumerRecord] = deque()
        self._detainers: dict[str, None] = {}
        self._stale: deque[str] = deque()
        self._judged: dict[int, int] = {}
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Restore and serve until asked to stop. Broker trouble is waited out here.

        Fenced: another instance began to serve the partition. The group will take it from us at its next heartbeat;
        should it not, because the other one is gone again, then it is ours after a while.
        """
        while not self._stopping.is_set():
            writer = self._store.writer(self.partition)
            try:
                await self._restore(writer)
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

    @property
    def state(self) -> PartitionState:
        """The episodes as they are in memory, which may be ahead of what is durable; to be read only."""
        return self._state

    @property
    def is_busy(self) -> bool:
        """Custody events wait, or were judged and are not durable yet."""
        return bool(self._custody) or not self._clean

    def ask_to_stop(self) -> None:
        """Finish the transaction in hand, take up no other; `run` then returns."""
        self._stopping.set()
        self._wake.set()
        self._room.set()

    def park(self) -> Parked | None:
        """The state, once `run` has returned, if it agrees with what is durable."""
        return Parked(self._state, self.progress, self._state_offset) if self._clean and self.epoch else None

    async def drained(self, budget_s: float) -> None:
        """Wait, `budget_s` seconds at most, until nothing waits and all that was judged is durable."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), budget_s if self.serving else 0)

    def offer(self, records: Sequence[ConsumerRecord], epoch: int) -> None:
        """Custody events, in order. Those taken from Kafka before the lane last restored are dropped: they come
        again."""
        if not self.serving or epoch != self.epoch:
            return
        self._custody.extend(records)
        if len(self._custody) >= self._settings.inbox_limit:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Wait until the inbox has room."""
        await self._room.wait()

    def offer_detainers(self, detainer_ids: Sequence[str], positions: dict[int, int]) -> None:
        """Detainers that the book holds in a new version."""
        if not self.serving:
            return  # the restore asks the book for all that the partition has not seen
        if self._state.episodes:
            self._detainers.update(dict.fromkeys(detainer_ids))
        self._judged.update(positions)
        self._wake.set()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless asked to stop."""
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                return

    async def _restore(self, writer: Writer) -> None:
        started = self._clock.elapsed()
        self._on_restoring(self.partition)
        await self._book_ready()
        await writer.start()
        if self._parked is not None and self._clean:
            self._state, self.progress, start = self._parked.state, self._parked.progress, self._parked.state_offset
        else:
            self._state = PartitionState(self._book, timedelta(days=self._settings.look_back_days))
            self.progress, start = Progress(), 0
        self._parked = None
        self._clean = False
        newest, self._state_offset = await self._store.read(self.partition, start)
        self.progress = load(self._state, newest, self.progress)
        self._clean = True
        self._custody.clear()
        self._room.set()
        seen = {int(p): offset for p, offset in self.progress.detainers.items()}
        # A partition without episodes has nothing to judge a detainer against, whatever it has not seen.
        self._detainers = dict.fromkeys(self._book.since(seen)) if self._state.episodes else {}
        self._judged = seen | self._book_position()
        self._stale = deque(self._state.judged_by_others(self.progress.model))
        self.epoch += 1
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
        if self._stale:
            log.info(
                "identity_model_changed",
                partition=self.partition,
                reason=f"{self.progress.model or 'unknown'} to {self._book.engine.model}",
                count=len(self._stale),
            )

    async def _serve(self, writer: Writer) -> None:
        while not self._stopping.is_set():
            if not self._custody and not self._detainers and not self._stale:
                self._wake.clear()
                self._idle.set()
                try:
                    await asyncio.wait_for(self._wake.wait(), self._settings.progress_flush_s)
                except TimeoutError:
                    if self._judged == {int(p): o for p, o in self.progress.detainers.items()}:
                        continue
                if self._stopping.is_set():
                    return
            await self._turn(writer)

    def _next(self, turn: int) -> ConsumerRecord | Input | None:
        """What is judged next of what waits: custody events and detainers take turns, so that neither a bulk of new
        detainers nor a backlog of events holds the other up; what another model judged is judged again behind both, and
        beside them where they never end. The order does not matter to what comes of it (G2).
        """
        if self._stale and (turn % 10 == 9 or not (self._custody or self._detainers)):
            return ModelInput(self._stale.popleft())
        if self._custody and (turn % 2 == 0 or not self._detainers):
            return self._custody.popleft()
        if self._detainers:
            detainer_id = next(iter(self._detainers))
            del self._detainers[detainer_id]
            return DetainerInput(detainer_id)
        return None

    async def _turn(self, writer: Writer) -> None:
        """Judge what waits, up to a limit, and publish it."""
        self._idle.clear()
        started = self._clock.elapsed()
        now = self._clock.now()
        self._clean = False
        out: list[OutRecord] = []
        ages: list[datetime] = []
        changed: set[str] = set()
        offset = self.progress.custody
        state = self._state
        counts: Counter[str] = Counter()
        spent, slice_began = 0.0, started
        for turn in range(self._settings.transaction_max_inputs):
            taken = self._next(turn)
            if taken is None:
                break
            if isinstance(taken, ConsumerRecord):
                offset = taken.offset + 1
                try:
                    taken = custody_input_of(taken)
                except ContractViolation as violation:
                    out.append(unreadable(taken, violation, "matcher", now))
                    REJECTS.labels(violation.reason).inc()
                    continue
            counts[_KINDS[type(taken)]] += 1
            outputs = evolve(state, taken, now)
            changed |= outputs.changed
            for conflict in outputs.conflicts:
                out.append(conflict_record(conflict))
                ages.append(conflict.cause.accepted_at)
                CONFLICTS.labels(conflict.stage).inc()
            for review in outputs.reviews:
                out.append(review_record(review))
                REVIEWS.labels(review.status).inc()
            slice_s = self._clock.elapsed() - slice_began
            if spent + slice_s > self._settings.transaction_judging_s:
                break
            if slice_s > _BREATH_S:
                await asyncio.sleep(0)
                spent, slice_began = spent + slice_s, self._clock.elapsed()
        # While detainers wait, the partition has not been judged against all of them: its progress stays behind.
        detainers = self.progress.detainers if self._detainers else {str(p): o for p, o in self._judged.items()}
        model = self.progress.model if self._stale else self._book.engine.model
        progress = Progress(offset, detainers, model)
        out.extend(
            OutRecord(
                STATE_TOPIC, episode_id.encode(), encode_episode(state, state.episodes[episode_id]), (), self.partition
            )
            for episode_id in changed
        )
        out.append(OutRecord(STATE_TOPIC, PROGRESS_KEY, encode_progress(progress), (), self.partition))
        self._state_offset = await writer.publish(out)
        self.progress = progress
        self._clean = True
        if len(self._custody) < self._settings.inbox_limit:
            self._room.set()
        _count(counts, ages, self._clock.elapsed() - started, self._clock.now())
        EPISODES.labels(str(self.partition)).set(len(state.episodes))


def _count(counts: Mapping[str, int], ages: Sequence[datetime], seconds: float, now: datetime) -> None:
    TRANSACTION.observe(seconds)
    for accepted_at in ages:
        AGE.observe((now - accepted_at).total_seconds())
    for kind, count in counts.items():
        INPUTS.labels(kind).inc(count)
