"""Planted bugs: each is put into the real code while histories are played, and has to be found by an invariant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, repeat
from typing import Any, Final
from unittest.mock import patch

import msgspec
from aiokafka import TopicPartition

from contracts.ids import delivery_id, notice_id
from contracts.types.common import Tier
from contracts.types.conflict import Stage
from services.matcher.adapters import changelog, lane, transaction
from services.matcher.adapters.lane import Lane, Parked
from services.matcher.adapters.ownership import Ownership
from services.matcher.adapters.writer import KafkaStateLog, PartitionWriter
from services.matcher.domain import episode, fold, hits, telling, waiting
from services.matcher.domain.book import DetainerBook
from services.matcher.domain.episode import Episode
from services.matcher.domain.feeds.terms import FeedTerms
from services.matcher.domain.partition import PartitionState
from services.matcher.domain.timers import Timers
from services.matcher.settings import MatcherSettings
from services.notifier.adapters import dispatcher
from services.notifier.adapters.postgres import ledger, upkeep
from services.notifier.adapters.taking import Taking
from services.notifier.domain import planning
from services.notifier.domain.outcomes import judge
from services.platform.kafka.outlets import OutRecord
from services.platform.kafka.rejects import unreadable
from tests.simulation import patches
from tests.simulation.clients import Consumer, Producer
from tests.simulation.loop import current_process

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True)
class Mutation:
    """plant: puts the bug in for as long as it is entered. within: stormy histories in which it has to be found."""

    name: str
    plant: Callable[[], Any]
    within: int = 60


def _replacing(owner: Any, name: str, new: Any) -> Callable[[], Any]:
    return lambda: patch.object(owner, name, new)


@contextmanager
def _all(*plants: Callable[[], Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for plant in plants:
            stack.enter_context(plant())
        yield


# -- the matcher's transactions ----------------------------------------------------------------------------------------


_PUBLISH: Final = PartitionWriter._publish


async def _progress_first(self: Any, records: Sequence[OutRecord]) -> int:
    state = [r for r in records if r.topic == changelog.STATE_TOPIC]
    offset = await _PUBLISH(self, state)
    await _alone(self, [r for r in records if r.topic != changelog.STATE_TOPIC])
    return offset


async def _outputs_first(self: Any, records: Sequence[OutRecord]) -> int:
    await _alone(self, [r for r in records if r.topic != changelog.STATE_TOPIC])
    return await _PUBLISH(self, [r for r in records if r.topic == changelog.STATE_TOPIC])


async def _alone(self: Any, outputs: Sequence[OutRecord]) -> None:
    """In a transaction without state."""
    if not outputs:
        return
    await self._producer.begin_transaction()
    for r in outputs:
        await self._producer.send(r.topic, key=r.key, value=r.value, headers=r.headers, partition=r.partition)
    await self._producer.commit_transaction()


async def _commits_unseen(self: Any, records: Sequence[OutRecord]) -> int:
    """As it was: of what was sent, only the last record of the state was asked after, and that behind the commit."""
    producer, last = self._producer, None
    await producer.begin_transaction()
    for r in records:
        sent = await producer.send(r.topic, key=r.key, value=r.value, headers=r.headers, partition=r.partition)
        last = sent if r.topic == changelog.STATE_TOPIC else last
    await producer.commit_transaction()
    assert last is not None
    return int((await last).offset) + 1


_PARK: Final = Lane.park


def _in_hand_is_done(self: Any) -> Parked | None:
    events = self._inbox.events
    if events:
        self.progress = msgspec.structs.replace(self.progress, custody=events[-1].offset + 1)
        events.clear()
    return _PARK(self)


def _forgets(state: Any, newest: Any, progress: changelog.Progress) -> changelog.Progress:
    changelog.load(state, newest, progress)
    return changelog.Progress()


def _id_of_an_instance(self: Any, partition: int) -> PartitionWriter:
    return PartitionWriter(self._settings, f"{self._group_id}-{partition}-{current_process().name}")


def _any_epoch(self: Any, records: Any, epoch: int) -> None:
    _OFFER(self, records, self.epoch)


_OFFER: Final = Lane.offer_events


async def _kept_in_memory(self: Any, writer_: Any) -> None:
    if self.epoch:
        self._parked, self._clean = Parked(self._state, self.progress, self._state_offset), True
    await _RESTORE(self, writer_)


_RESTORE: Final = Lane._restore


async def _parked_is_new_enough(self: Any, partition: int, start: int) -> Any:
    return ({}, start) if start else await _READ(self, partition, start)


_READ: Final = KafkaStateLog.read


async def _starts_nothing(self: Any) -> None:
    """A producer that takes its id without asking for a new epoch, and so fences nobody."""
    broker = self._broker
    self._epoch = broker._epochs.setdefault(self._id, 0)


def _one_too_far(self: Any, partition: int, offset: int) -> None:
    _RESUME(self, partition, offset)
    tp = TopicPartition("custody.events.v1", partition)
    consumer = self._consumer()
    if offset and consumer is not None and tp in consumer.assignment():
        consumer.seek(tp, offset + 1)


_RESUME: Final = Ownership._resume


def _no_pairs(state: Any, episode_id: str, value: bytes | None) -> None:
    _LOAD(state, episode_id, value)
    for pair in state.pairs.pop(episode_id, {}):
        state._by_detainer[pair].discard(episode_id)


_LOAD: Final = changelog.load_episode


def _elsewhere(*args: Any) -> OutRecord:
    return msgspec.structs.replace(_UNREADABLE(*args), topic="notices.v1")


_UNREADABLE: Final = unreadable


# -- the matcher's fold ------------------------------------------------------------------------------------------------


def _last_said_counts(self: Any, fact: Any) -> bool:
    self._facts[fact.id] = fact
    self._view = None
    return True


def _never_lost(pair: Any, standing: Any, on: Any) -> Any:
    if pair.identity.tier not in (Tier.CONFIRMED, Tier.PROBABLE) and on.decision is None:
        return None
    return _NEXT(pair, standing, on)


def _always_anew(pair: Any, standing: Any, on: Any) -> Any:
    if standing is not None and pair.told == standing:
        pair.told = msgspec.structs.replace(standing, escaped=not standing.escaped)
    return _NEXT(pair, standing, on)


_NEXT: Final = telling.next_conflict


def _stage_of_standing(_pair: Any, standing: Any, _on: Any) -> Any:
    """As it was: what would be told of a pair was not asked, only where it would stand if it were one person."""
    return standing and standing.stage


# -- the notifier ------------------------------------------------------------------------------------------------------


async def _offsets_first(self: Any, records: Any) -> None:
    await self._commit(records)
    await _HANDLE(self, records)


_HANDLE: Final = Taking.handle


def _fresh_ids() -> Any:
    numbers = count()
    derived = delivery_id

    async def every(connection: Any, tell: Any, passed: Any, now: datetime, traces: Any) -> set[str]:
        await inserted(connection, tell, passed, now, traces)
        return {p.notice_id for p in tell}

    inserted = ledger._insert_notices
    return _all(
        _replacing(ledger, "_insert_notices", every),
        _replacing(ledger, "delivery_id", lambda notice, sub: f"{derived(notice, sub)}-{next(numbers)}"),
    )


def _without_version() -> Any:
    name = notice_id
    return patch.object(planning, "notice_id", lambda conflict, _version, recipient: name(conflict, 1, recipient))


async def _no_retractions(connection: Any, plan: Any) -> Any:
    return [p for p in await _CONCERNED(connection, plan) if p.conflict.stage is not Stage.RETRACTED]


_CONCERNED: Final = ledger._concerned


async def _never(*_: Any) -> int:
    await asyncio.sleep(0)
    return 0


def _all_is_well(_delivered: bool, *args: Any, **more: Any) -> Any:
    return _JUDGE(True, *args, **more)


_JUDGE: Final = judge


MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation("progress is committed before the outputs", _replacing(PartitionWriter, "_publish", _progress_first)),
    Mutation("outputs are committed before the progress", _replacing(PartitionWriter, "_publish", _outputs_first)),
    Mutation(
        "a commit does not wait for what it commits", _replacing(PartitionWriter, "_publish", _commits_unseen), 400
    ),
    Mutation("what is in hand at a revoke counts as done", _replacing(Lane, "park", _in_hand_is_done), 2_000),
    Mutation("progress is forgotten", _replacing(lane, "load", _forgets), 400),
    Mutation("a transactional id for each instance", _replacing(KafkaStateLog, "writer", _id_of_an_instance), 400),
    Mutation("a new holder fences nobody", _replacing(Producer, "start", _starts_nothing)),
    Mutation("events of an earlier epoch are taken", _replacing(Lane, "offer_events", _any_epoch), 400),
    Mutation("every lane counts its epochs from 1", _replacing(lane, "_EPOCHS", repeat(1)), 400),
    Mutation("the state is kept after an unknown commit", _replacing(Lane, "_restore", _kept_in_memory), 1_000),
    Mutation(
        "a parked state is not brought up to date", _replacing(KafkaStateLog, "read", _parked_is_new_enough), 2_000
    ),
    Mutation(
        "restore reads what was not committed", _replacing(patches, "Consumer", lambda b, **_: Consumer(b, False))
    ),
    Mutation("a restored lane begins one event too far", _replacing(Ownership, "_resume", _one_too_far)),
    Mutation("detainers are not judged after a restore", _replacing(DetainerBook, "since", lambda *_: [])),
    Mutation("what was told is not restored", _replacing(changelog, "load_episode", _no_pairs)),
    Mutation("timers never run out", _replacing(Timers, "next", lambda _: None)),
    Mutation("an unreadable record is not kept", _replacing(transaction, "unreadable", _elsewhere)),
    Mutation("an episode takes every fact", _replacing(Episode, "has_room", lambda *_: True)),
    Mutation("nothing is voided", _replacing(episode, "_voided", lambda *_: set())),
    Mutation("of two facts under one id the last read counts", _replacing(Episode, "add", _last_said_counts)),
    Mutation("a lost identity is not retracted", _replacing(fold, "next_conflict", _never_lost)),
    Mutation("a decision holds whatever the numbers are", _replacing(hits, "bare", lambda _: None), 1_000),
    Mutation("a corrected time zone is judged by nobody", _replacing(fold, "_place", lambda *_: None), 1_000),
    Mutation("a retraction waits where a breaker has tripped", _replacing(waiting, "_said", _stage_of_standing)),
    Mutation("a burst is told before it is counted", _replacing(PartitionState, "is_suspect", lambda *_: False)),
    Mutation("a round never ends", _replacing(MatcherSettings, "feed_terms", FeedTerms(round=timedelta(days=999)))),
    Mutation("a version says what the last one said", _replacing(fold, "next_conflict", _always_anew)),
    Mutation("what is POSSIBLE is told", _replacing(telling, "NOTIFIABLE", frozenset(Tier) - {Tier.NONE})),
    Mutation("offsets are committed before the ledger", _replacing(Taking, "handle", _offsets_first)),
    Mutation("a notice's id is without its version", _without_version),
    Mutation("a repeated batch makes new deliveries", _fresh_ids),
    Mutation("a retraction is no notice", _replacing(ledger, "_concerned", _no_retractions)),
    Mutation("an attempt that was cut off is never given back", _replacing(upkeep, "interrupt", _never)),
    Mutation("a failed attempt counts as delivered", _replacing(dispatcher, "judge", _all_is_well)),
)
