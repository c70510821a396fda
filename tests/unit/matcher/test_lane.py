"""What a lane takes into a transaction, without Kafka: fair shares, and a budget of time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from aiokafka import ConsumerRecord
from structlog.testing import capture_logs

from contracts.cloudevents import Attributes, encode_headers
from contracts.ids import breaker_id, episode_id
from contracts.types.conflict import Conflict, Stage
from contracts.types.custody import Booked, Released, ReleaseScheduled, Updated
from contracts.types.feed import Breaker, BreakerState
from services.matcher.adapters.broadcasts import broadcasts
from services.matcher.adapters.changelog import (
    PROGRESS_KEY,
    Progress,
    decode_progress,
    encode_episode,
    encode_progress,
)
from services.matcher.adapters.clock import SystemClock
from services.matcher.adapters.lane import Lane, Parked
from services.matcher.adapters.records import CONFLICTS_TOPIC
from services.matcher.adapters.traces import Contexts
from services.matcher.adapters.transaction import Transaction
from services.matcher.adapters.writer import KafkaStateLog, PartitionWriter
from services.matcher.domain.fold import evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.inputs import CustodyInput
from services.matcher.domain.partition import BEGINNING, PartitionState
from services.matcher.identity_model import load_model
from services.matcher.settings import MatcherSettings
from services.platform.errors import BrokerUnavailable
from services.platform.kafka.outlets import OutRecord
from tests.unit.matcher.people import BOOKING, FACILITY, START, at, detainer, fact, person

ENGINE = WeighedEngine(load_model())
EPISODE = episode_id(FACILITY, BOOKING)


class Recorder(PartitionWriter):
    """Keeps the progress of each transaction in place of committing it."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []

    async def publish(self, records: Sequence[OutRecord]) -> int:
        (progress,) = (record.value for record in records if record.key == PROGRESS_KEY)
        assert progress is not None
        self.progress.append(decode_progress(progress))
        return len(self.progress)


def record(offset: int) -> ConsumerRecord[bytes, bytes]:
    event = Updated(facility=FACILITY, booking_number=BOOKING, occurred_at=at(offset))
    headers = encode_headers(Attributes(f"e{offset}", "s", "t", START, START))
    value = msgspec.json.encode(event)
    return ConsumerRecord(
        "custody.events.v1", 0, offset, 0, 0, EPISODE.encode(), value, None, 0, 0, tuple(headers)
    )  # fmt: skip


class Refusing(KafkaStateLog, PartitionWriter):
    """Starts, and restores nothing; every transaction fails. starts: how often a writer began, and fenced others."""

    def __init__(self) -> None:
        self.starts = 0

    def writer(self, partition: int) -> PartitionWriter:
        return self

    async def read(self, partition: int, start: int) -> tuple[dict[bytes, bytes | None], int]:
        return {}, 0

    async def start(self) -> None:
        self.starts += 1

    async def stop(self) -> None:
        pass

    async def publish(self, records: Sequence[OutRecord]) -> int:
        raise BrokerUnavailable("the transaction did not commit")


def lane(store: KafkaStateLog | None = None, **settings: float) -> Lane:
    """A lane that serves, with one episode in it."""
    ground = Ground(ENGINE)

    async def ready(_seen: object) -> None:
        pass

    async def end(_partition: int) -> int:
        return 0

    async def read(_partition: int, _end: int) -> bool:
        return True

    made = Lane(
        0,
        1,
        MatcherSettings.model_validate(settings),
        ground,
        broadcasts(ground),
        store=store or KafkaStateLog(MatcherSettings(allow_plaintext=True), "unused"),
        clock=SystemClock(60),
        ground_ready=ready,
        ground_position=dict,
        on_restored=lambda *_: None,
        on_restoring=lambda _: None,
        custody_end=end,
        custody_read=read,
        contexts=Contexts(),
    )
    evolve(made.state, CustodyInput(fact(Booked, 0), EPISODE), START)
    made.serving = True
    return made


def offer(made: Lane, detainers: int, events: int) -> None:
    book = made.state.book
    for number in range(detainers):
        book.put(detainer(reference=f"D-{number}", who=person(sid=f"{number + 10}")), 0, number)
    made.offer_changes("detainers", book.since({}), {0: detainers})
    made.offer_events([record(offset) for offset in range(events)], made.epoch)


async def test_a_bulk_of_detainers_does_not_hold_events_up() -> None:
    made, writer = lane(transaction_max_inputs=40, transaction_judging_s=60), Recorder()
    offer(made, detainers=500, events=20)
    await made._turn(writer)
    (progress,) = writer.progress
    assert (progress.custody, progress.seen["detainers"], progress.model) == (20, {}, ENGINE.model)
    while made._inbox._changes["detainers"]:
        await made._turn(writer)
    assert len(writer.progress) == 1 + 480 // 40
    assert writer.progress[-1].seen["detainers"] == {"0": 500}


async def test_a_backlog_of_events_does_not_hold_detainers_up() -> None:
    made, writer = lane(transaction_max_inputs=40, transaction_judging_s=60), Recorder()
    offer(made, detainers=20, events=500)
    await made._turn(writer)
    (progress,) = writer.progress
    assert (progress.custody, progress.seen["detainers"], progress.model) == (20, {"0": 20}, ENGINE.model)


async def test_a_transaction_is_closed_after_its_time() -> None:
    made, writer = lane(transaction_judging_s=1e-9), Recorder()
    offer(made, detainers=0, events=3)
    for _ in range(3):
        await made._turn(writer)
    assert [progress.custody for progress in writer.progress] == [1, 2, 3]


async def test_what_another_model_judged_comes_last_and_progress_says_when_it_is_done() -> None:
    made, writer = lane(transaction_max_inputs=2, transaction_judging_s=60, progress_flush_s=1e-9), Recorder()
    for number in range(3):
        evolve(made.state, CustodyInput(fact(Booked, 0), f"epi_{number}"), START)
    made._inbox.stale.extend(made.state.judged_by_others("another"))
    offer(made, detainers=0, events=2)
    while made.is_busy or made._inbox.stale:
        await made._turn(writer)
    assert [(p.custody, p.model) for p in writer.progress] == [(2, ""), (2, ENGINE.model)]


async def test_what_leads_to_nothing_costs_no_transaction_and_is_written_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, writer = lane(progress_flush_s=5.0), Recorder()
    now = made._clock.elapsed()
    monkeypatch.setattr(made._clock, "elapsed", lambda: now)
    await made._turn(writer)  # writes what the booking has left
    writer.progress.clear()
    nobody = person("Ottermole", "Vashti", "1971-12-01", sid="7777777")
    for number in range(20):
        made.state.book.put(detainer(reference=f"D-{number}", who=nobody), 0, number)
        made.offer_changes("detainers", [detainer(reference=f"D-{number}").detainer_id], {0: number + 1})
        await made._turn(writer)
    assert writer.progress == []
    now += 6
    await made._turn(writer)
    assert [progress.seen["detainers"] for progress in writer.progress] == [{"0": 20}]


async def test_a_lane_that_finishes_takes_nothing_up_again() -> None:
    """Its partition is another's by then, and each writer that it started would fence them."""
    store = Refusing()
    made = lane(store, restore_retry_s=0.001)
    made.serving = False
    restored = asyncio.Event()
    made._on_restored = lambda *_: restored.set()
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(restored.wait(), 60)
    made.offer_events([record(0)], made.epoch)
    await asyncio.wait_for(made.drained(60), 60)
    await asyncio.wait_for(running, 60)
    assert store.starts == 1


async def test_a_lane_whose_partition_went_away_while_it_waited_for_the_ground_starts_no_writer() -> None:
    """A process that was paused there would fence the heir."""
    store = Refusing()
    made = lane(store)
    made.serving = False
    ours, asked, ground = True, asyncio.Event(), asyncio.Event()

    async def ready(_seen: object) -> None:
        asked.set()
        await ground.wait()

    def restoring(_partition: int) -> None:
        if not ours:
            made.ask_to_stop()  # so that it does not try again
            raise BrokerUnavailable("the partition is not ours any more")

    made._ground_ready, made._on_restoring = ready, restoring
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(asked.wait(), 60)
    ours = False
    ground.set()
    await asyncio.wait_for(running, 60)
    assert store.starts == 0


async def test_nor_does_one_that_was_given_up_meanwhile() -> None:
    store = Refusing()
    made = lane(store)
    made.serving = False

    async def ready(_seen: object) -> None:
        made.ask_to_stop()

    made._ground_ready = ready
    await asyncio.wait_for(made.run(), 60)
    assert store.starts == 0


@pytest.mark.parametrize(("acknowledged", "said"), [(0, []), (7, ["acknowledged up to 7"])])
async def test_a_commit_that_kafka_acknowledged_and_did_not_keep_is_told(
    acknowledged: int, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kafka 4.3.0 to 4.4.0 may (ADR 27). The broker is not back yet when it is first looked for."""
    store = Refusing()
    made = lane(store)
    made.progress = Progress(custody=acknowledged)
    whole = store.read

    async def away(*_: object) -> tuple[dict[bytes, bytes | None], int]:
        raise BrokerUnavailable("custody.state.v1/0 cannot be read")

    with capture_logs() as logs:
        monkeypatch.setattr(store, "read", away)
        with pytest.raises(BrokerUnavailable):
            await made._restore(store)
        monkeypatch.setattr(store, "read", whole)
        await made._restore(store)
    assert [line["reason"] for line in logs if line["event"] == "commit_undone"] == said
    assert made.progress.custody == 0, "and it is judged again"


async def test_a_state_that_was_parked_begins_anew_to_wait_for_what_it_missed() -> None:
    """Whoever had the partition meanwhile left a backlog; what it brings has not gone round."""
    store = Refusing()
    made = lane(store)
    made._parked = Parked(made.state, Progress(), 0)
    before = made.state.began
    made.state.waits((EPISODE, "det_1"), True, False, at(1))
    await made._restore(store)
    assert before > made.state.began == BEGINNING
    assert made.state.timers.next() == BEGINNING, "or a round would begin only when one has ended"


async def test_what_was_discarded_is_left_out_by_a_new_owner_who_has_yet_to_hear_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last owner had read the operator's decision; this instance reads it while the partition is restored."""
    store = Refusing()
    made = lane(store)
    released = fact(Released, 10)
    evolve(made.state, CustodyInput(released, EPISODE), START)
    progress = Progress(custody=2, seen={"breakers": {"0": 2}})
    kept = {EPISODE.encode(): encode_episode(made.state, EPISODE), PROGRESS_KEY: encode_progress(progress)}

    async def read(*_: object) -> tuple[dict[bytes, bytes | None], int]:
        return kept, 2

    async def ready(seen: object) -> None:
        if seen:
            made._ground.breakers.put(discarded)

    discarded = Breaker(
        breaker_id=breaker_id(FACILITY, "1", 0), facility=FACILITY, state=BreakerState.DISCARDED, since=at(9),
        tripped_at=at(10), releases=12, population=20, window_s=3600, decided_at=at(11), decided_by="operator-1",
        reason="asked the jail",
    )  # fmt: skip
    monkeypatch.setattr(store, "read", read)
    made._ground_ready = ready
    await made._restore(store)
    assert made.progress == progress
    assert made.state.episodes[EPISODE].view.ended is None


def test_a_backlog_is_judged_by_its_own_time() -> None:
    """We were away for a month: what was scheduled and released then raises no alarm, whenever we read it."""
    state = PartitionState(Ground(ENGINE))
    state.book.put(detainer(), 0, 0)
    facts = [fact(Booked, 0), fact(ReleaseScheduled, 1, scheduled_for=at(10)), fact(Released, 10)]
    stages: list[Stage] = []
    for offset, each in enumerate(facts):
        transaction = Transaction(0, state, offset, at(720), behind=True, contexts=Contexts())
        transaction.judge(CustodyInput(each, EPISODE))
        records = transaction.records()
        conflicts = [msgspec.json.decode(r.value or b"", type=Conflict) for r in records if r.topic == CONFLICTS_TOPIC]
        stages += [c.stage for c in conflicts]
        assert [c.decided_at for c in conflicts] == [at(720)]
    assert stages == [Stage.IN_CUSTODY, Stage.RELEASE_SCHEDULED, Stage.RELEASED]
    assert state.clock == at(10)
