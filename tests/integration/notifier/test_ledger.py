"""Conflict versions into the ledger: once, to whom it concerns, and taken back from whom it reached (G4, G6)."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.types.conflict import Stage
from contracts.types.notice import NoticeOutcome
from services.notifier.adapters.dispatcher import event_of
from services.notifier.adapters.postgres import claims, notices, subscriptions, upkeep
from services.notifier.adapters.postgres.claims import Claimed, Finished
from services.platform.errors import ContractViolation
from tests.integration.notifier.support import Ledger, eventually
from tests.unit.notifier.conflicts import AGENCY, OTHER, conflict

LEASE = timedelta(seconds=60)


async def claim(pool: Any, now: datetime | None = None, lease: timedelta = LEASE, **limits: Any) -> list[Claimed]:
    usual: dict[str, Any] = {
        "channel": "webhook", "per_endpoint": 128, "threshold": 5, "held": {}, "limit": 512,
    }  # fmt: skip
    wanted = {**usual, **limits}
    return await claims.claim(pool, uuid.uuid4(), now or datetime.now(UTC), lease, **wanted)


async def finish(ledger: Ledger, got: list[Claimed], delivered: bool, threshold: int = 5, **changes: Any) -> set[str]:
    """Write the same outcome for all, as the dispatcher does."""
    now = datetime.now(UTC)
    ids = [
        await ledger.pool.fetchval(
            "select claim_id from attempts where delivery_id = $1 and attempt = $2", c.delivery_id, c.attempt
        )
        for c in got
    ]
    outcomes = [
        Finished(
            claimed=c,
            delivered=delivered,
            status="delivered" if delivered else "pending",
            next_attempt_at=None if delivered else now + timedelta(hours=1),
            finished_at=now,
            http_status=200 if delivered else 500,
            error=None if delivered else "http_5xx",
            gone=changes.get("gone", False),
            rest_until=changes.get("rest_until"),
            event=event_of(c, NoticeOutcome.DELIVERED, now) if delivered else None,
        )
        for c in got
    ]
    return await claims.finish(ledger.pool, ids, outcomes, threshold)


async def test_a_batch_again_changes_nothing(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    batch = [conflict(n, stage=Stage.IN_CUSTODY) for n in range(5)] + [conflict(0, 2), conflict(9, agency=OTHER)]
    assert await ledger.tell(*batch) == 5
    before = await ledger.all_rows()
    assert await ledger.tell(*batch) == 0
    assert await ledger.tell(*batch[:3]) == 0
    assert await ledger.all_rows() == before


async def test_a_notice_goes_to_every_subscription_of_its_agency_and_of_no_other(ledger: Ledger) -> None:
    hook, mail = await ledger.subscribe("https://a.example/"), await ledger.subscribe("a@a.example", channel="email")
    theirs = await ledger.subscribe("https://b.example/", agency=OTHER)
    mine, other = conflict(1), conflict(1, agency=OTHER)
    assert await ledger.tell(mine, other) == 3
    assert (await ledger.deliveries()).keys() == {
        (mine.conflict_id, 1, hook),
        (mine.conflict_id, 1, mail),
        (other.conflict_id, 1, theirs),
    }


async def test_no_subscription_is_kept_to_be_read(ledger: Ledger) -> None:
    given = conflict()
    assert await ledger.tell(given) == 0
    assert await ledger.notices() == {(given.conflict_id, 1): "no_subscription"}
    await ledger.subscribe("https://late.example/")
    assert await ledger.tell(given) == 0


@pytest.mark.parametrize("stage", [Stage.CLOSED, Stage.RETRACTED])
async def test_an_ending_goes_only_to_whom_an_earlier_version_may_have_reached(ledger: Ledger, stage: Stage) -> None:
    reached = await ledger.subscribe("https://a.example/")
    given = conflict(1)
    await ledger.tell(given)
    assert len(await claim(ledger.pool)) == 1  # under way: it may arrive
    await ledger.subscribe("https://later.example/")
    assert await ledger.tell(conflict(1, 2, stage), conflict(2, 1, stage)) == 1
    assert [key for key in await ledger.deliveries() if key[1] == 2] == [(given.conflict_id, 2, reached)]
    assert await ledger.notices() == {(given.conflict_id, 1): "pending", (given.conflict_id, 2): "pending"}


async def test_what_never_left_is_not_taken_back(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    given = conflict(1)
    await ledger.tell(given)
    assert await ledger.tell(conflict(1, 2, Stage.RETRACTED)) == 0
    assert set((await ledger.deliveries()).values()) == {"superseded"}
    assert await claim(ledger.pool) == []


@pytest.mark.parametrize("end", ["deleted", "disabled"])
async def test_a_retraction_follows_an_agency_that_changed_its_endpoint(ledger: Ledger, end: str) -> None:
    """G6: told over an endpoint that is no more, it hears of the retraction over the one it has now."""
    old = await ledger.subscribe("https://old.example/")
    given = conflict(1)
    await ledger.tell(given)
    got = await claim(ledger.pool)
    if end == "deleted":
        await finish(ledger, got, True)
        assert await subscriptions.delete(ledger.pool, AGENCY, old, datetime.now(UTC))
    else:
        await finish(ledger, got, False, gone=True)
    new = await ledger.subscribe("https://new.example/")
    assert await ledger.tell(conflict(1, 2, Stage.RETRACTED)) == 1
    assert (given.conflict_id, 2, new) in await ledger.deliveries()


async def test_a_retraction_follows_what_was_only_read_and_acknowledged(ledger: Ledger) -> None:
    given = conflict(1)
    await ledger.tell(given)
    (name,) = [row["notice_id"] for row in await ledger.pool.fetch("select notice_id from notices")]
    assert await notices.acknowledge(ledger.pool, AGENCY, name, "will_pick_up", None, datetime.now(UTC))
    new = await ledger.subscribe("https://new.example/")
    assert await ledger.tell(conflict(1, 2, Stage.RETRACTED)) == 1
    assert (given.conflict_id, 2, new) in await ledger.deliveries()


async def test_a_newer_version_supersedes_what_waits(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    first = conflict(1, stage=Stage.IN_CUSTODY)
    await ledger.tell(first)
    await ledger.tell(conflict(1, 2))
    assert await ledger.deliveries() == {
        (first.conflict_id, 1, hook): "superseded",
        (first.conflict_id, 2, hook): "pending",
    }
    assert (await ledger.notices())[first.conflict_id, 1] == "superseded"
    assert [c.version for c in await claim(ledger.pool)] == [2]


async def test_an_older_version_that_comes_late_is_on_record_and_not_told(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    given = conflict(1, 2)
    await ledger.tell(given)
    assert await ledger.tell(conflict(1, 1, Stage.IN_CUSTODY)) == 0
    assert (await ledger.notices())[given.conflict_id, 1] == "superseded"
    assert [c.version for c in await claim(ledger.pool)] == [2]


async def test_what_is_overtaken_under_way_is_not_tried_again(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    given = conflict(1, stage=Stage.IN_CUSTODY)
    await ledger.tell(given)
    got = await claim(ledger.pool)
    await ledger.tell(conflict(1, 2))
    assert len(await finish(ledger, got, False)) == 1
    assert (await ledger.notices())[given.conflict_id, 1] == "superseded"
    assert {k[1]: s for k, s in (await ledger.deliveries()).items()} == {1: "superseded", 2: "pending"}


async def test_what_is_overtaken_under_way_and_arrives_counts_as_delivered(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    given = conflict(1, stage=Stage.IN_CUSTODY)
    await ledger.tell(given)
    got = await claim(ledger.pool)
    await ledger.tell(conflict(1, 2))
    await finish(ledger, got, True)
    assert (await ledger.notices())[given.conflict_id, 1] == "delivered"


async def test_what_a_crash_cut_off_is_not_sent_after_its_retraction(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    given = conflict(1)
    await ledger.tell(given)
    await claim(ledger.pool, lease=timedelta(0))
    assert await ledger.tell(conflict(1, 2, Stage.RETRACTED)) == 1
    assert await upkeep.interrupt(ledger.pool, datetime.now(UTC)) == 1
    assert [c.version for c in await claim(ledger.pool)] == [2]
    assert (await ledger.notices())[given.conflict_id, 1] == "superseded"
    assert (1, "interrupted", None, None) in await ledger.attempts()


async def test_a_retraction_waits_for_a_claim_that_is_being_made(ledger: Ledger) -> None:
    """The claim is not committed when the retraction is recorded: whoever comes second must see the other."""
    await ledger.subscribe("https://a.example/")
    given = conflict(1)
    await ledger.tell(given)
    async with ledger.pool.acquire() as connection:
        claiming = connection.transaction()
        await claiming.start()
        assert len(await claim(connection)) == 1
        recording = asyncio.create_task(ledger.tell(conflict(1, 2, Stage.RETRACTED)))

        async def waits() -> bool:
            return bool(await ledger.pool.fetchval("select count(*) from pg_locks where not granted"))

        await eventually(waits)
        assert not recording.done()
        await claiming.commit()
    assert await recording == 1
    assert {k[1]: s for k, s in (await ledger.deliveries()).items()} == {1: "pending", 2: "pending"}
    assert await ledger.pool.fetchval("select overtaken from deliveries where version = 1")


async def test_a_retraction_that_is_being_recorded_is_not_outrun_by_a_claim(ledger: Ledger) -> None:
    """The other way round: superseded and not committed yet, it is no longer there for a claim."""
    await ledger.subscribe("https://a.example/")
    await ledger.tell(conflict(1))
    async with ledger.pool.acquire() as connection, connection.transaction():
        await Ledger(_Within(connection)).tell(conflict(1, 2))
        assert await claim(ledger.pool) == []
    assert [c.version for c in await claim(ledger.pool)] == [2]


class _Within:
    """A pool whose only connection has a transaction open already."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def acquire(self) -> _Within:
        return self

    async def __aenter__(self) -> Any:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        pass


async def test_a_pause_gathers_and_a_resume_sends_however_long_it_was(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    await ledger.set_status(hook, "paused")
    await ledger.tell(*(conflict(n) for n in range(3)))
    assert await claim(ledger.pool) == []
    month = datetime.now(UTC) - timedelta(days=30)
    await ledger.pool.execute("update deliveries set created_at = $1, next_attempt_at = $1", month)
    week = datetime.now(UTC) - timedelta(days=7)
    async with ledger.pool.acquire() as connection:
        assert await upkeep.expire(connection, datetime.now(UTC), week) == []
        await ledger.set_status(hook, "active")
        assert await upkeep.expire(connection, datetime.now(UTC), week) == []
    assert len(await claim(ledger.pool)) == 3


async def test_a_resume_tries_at_once_what_was_waiting_for_a_later_attempt(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    await ledger.tell(conflict(1))
    await finish(ledger, await claim(ledger.pool), False, rest_until=datetime.now(UTC) + timedelta(hours=1))
    assert await claim(ledger.pool) == []
    await ledger.set_status(hook, "paused")
    await ledger.set_status(hook, "active")
    assert len(await claim(ledger.pool)) == 1


async def test_a_deleted_subscription_gets_nothing_more(ledger: Ledger) -> None:
    gone, stays = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://b.example/")
    both = conflict(1)
    await ledger.tell(both)
    under_way = [c for c in await claim(ledger.pool, per_endpoint=1) if c.subscription_id == gone]
    await ledger.tell(conflict(2))
    now = datetime.now(UTC)
    assert await subscriptions.delete(ledger.pool, AGENCY, gone, now)
    assert not await subscriptions.delete(ledger.pool, AGENCY, gone, now)
    await finish(ledger, under_way, False)
    found = await ledger.deliveries()
    assert {s for (_, _, name), s in found.items() if name == gone} == {"superseded"}
    assert {s for (_, _, name), s in found.items() if name == stays} == {"pending"}
    assert set(await ledger.pool.fetch("select secret_encrypted from subscriptions where subscription_id = $1", gone))
    assert await ledger.tell(conflict(3)) == 1


async def test_deleting_the_only_subscription_leaves_the_notice_to_be_read(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    given = conflict(1)
    await ledger.tell(given)
    await subscriptions.delete(ledger.pool, AGENCY, hook, datetime.now(UTC))
    assert await ledger.notices() == {(given.conflict_id, 1): "no_subscription"}


async def test_a_delivery_made_for_a_subscription_that_was_being_deleted_does_not_wait_for_ever(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    given = conflict(1)
    await ledger.tell(given)
    await ledger.pool.execute("update subscriptions set status = 'deleted' where subscription_id = $1", hook)
    await upkeep.end_orphans(ledger.pool, datetime.now(UTC))
    assert set((await ledger.deliveries()).values()) == {"superseded"}
    assert await ledger.notices() == {(given.conflict_id, 1): "superseded"}


async def test_urgent_ones_go_first_and_each_endpoint_has_its_share(ledger: Ledger) -> None:
    a = await ledger.subscribe("https://a.example/")
    await ledger.subscribe("https://b.example/", agency=OTHER)
    await ledger.tell(*(conflict(n, stage=Stage.IN_CUSTODY) for n in range(8)))
    await ledger.tell(*(conflict(n) for n in range(20, 24)))
    await ledger.tell(conflict(50, agency=OTHER))
    got = await claim(ledger.pool, per_endpoint=6)
    assert [c.stage for c in got if c.subscription_id == a] == ["released"] * 4 + ["in_custody"] * 2
    assert len(got) == 7
    assert await claim(ledger.pool, per_endpoint=6) == []


async def test_no_endpoint_holds_more_slots_than_stay_free_for_others(ledger: Ledger) -> None:
    """However many hang, one that has nothing under way finds room: here each that comes takes half of what is left."""
    agencies = [f"MATST01{n:02}" for n in range(5)]
    names = [await ledger.subscribe("https://a.example/", agency=agency) for agency in agencies]
    held: Counter[str] = Counter()

    async def take(*numbers: int) -> list[int]:
        for n in numbers:
            await ledger.tell(*(conflict(100 * n + k, agency=agencies[n]) for k in range(30)))
        for _ in range(3):  # asking again gets nobody more
            got = await claim(ledger.pool, held=held, limit=24 - held.total())
            held.update(c.subscription_id for c in got)
        return [held[name] for name in names]

    assert await take(0, 1) == [8, 8, 0, 0, 0]
    assert await take(2) == [8, 8, 4, 0, 0]
    assert await take(3) == [8, 8, 4, 2, 0]
    assert await take(4) == [8, 8, 4, 2, 1]


async def test_a_claim_locks_what_it_takes_and_leaves_the_rest_to_others(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    await ledger.tell(*(conflict(n) for n in range(20)))
    async with ledger.pool.acquire() as connection, connection.transaction():
        mine = await claim(connection, limit=6)
        theirs = await claim(ledger.pool, limit=6)
    assert len(mine) == len(theirs) == 3
    assert {c.delivery_id for c in mine}.isdisjoint(c.delivery_id for c in theirs)


async def test_a_channel_has_claims_of_its_own(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    await ledger.subscribe("a@a.example", channel="email")
    await ledger.tell(conflict(1), conflict(2))
    for channel in ("email", "webhook"):
        assert [c.channel for c in await claim(ledger.pool, channel=channel)] == [channel] * 2


async def test_many_that_fall_together_are_one_fall(ledger: Ledger) -> None:
    """128 attempts cut off by a receiver that restarts open its breaker, and do not rest it for five minutes."""
    hook = await ledger.subscribe("https://a.example/")
    await ledger.tell(*(conflict(n) for n in range(40)))
    got = await claim(ledger.pool, per_endpoint=30)
    for part in (got[:1], got[1:20], got[20:]):
        await finish(ledger, part, False)
    count = "select failures_in_a_row from subscriptions where subscription_id = $1"
    assert await ledger.pool.fetchval(count, hook) == 5
    probe = await claim(ledger.pool)
    assert len(probe) == 1
    rest = datetime.now(UTC) + timedelta(seconds=30)
    await finish(ledger, probe, False, rest_until=rest)
    assert await ledger.pool.fetchval(count, hook) == 6
    assert await claim(ledger.pool) == []
    last = await claim(ledger.pool, now=rest)
    assert len(last) == 1
    await finish(ledger, last, True)
    assert await ledger.pool.fetchval(count, hook) == 0
    assert len(await claim(ledger.pool)) == 8


async def test_a_success_heals_the_count_even_when_it_was_claimed_before_the_failures(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    await ledger.tell(conflict(1), conflict(2))
    first, second = await claim(ledger.pool)
    await finish(ledger, [first], False)
    await finish(ledger, [second], True)
    count = "select failures_in_a_row from subscriptions where subscription_id = $1"
    assert await ledger.pool.fetchval(count, hook) == 0


async def test_a_late_outcome_changes_neither_the_delivery_nor_its_endpoint(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    await ledger.tell(conflict(1))
    late = await claim(ledger.pool, lease=timedelta(0))
    await upkeep.interrupt(ledger.pool, datetime.now(UTC))
    (again,) = await claim(ledger.pool)
    assert again.attempt == 2
    before = await ledger.pool.fetch("select * from deliveries")
    for delivered in (True, False):
        assert await finish(ledger, late, delivered, gone=not delivered) == set()
        assert await ledger.pool.fetch("select * from deliveries") == before
    assert await ledger.pool.fetchval("select count(*) from outbox") == 0
    row = await ledger.pool.fetchrow("select status, failures_in_a_row from subscriptions")
    assert tuple(row.values()) == ("active", 0), hook
    assert len(await finish(ledger, [again], True)) == 1
    assert await ledger.pool.fetchval("select count(*) from outbox") == 1


async def test_expiry_fails_what_is_too_old_and_says_so(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    given = conflict(1)
    await ledger.tell(given)
    await ledger.pool.execute("update deliveries set created_at = created_at - interval '8 days'")
    now = datetime.now(UTC)
    async with ledger.pool.acquire() as connection, connection.transaction():
        given_up = await upkeep.expire(connection, now, now - timedelta(days=7))
        events = [(c, event_of(c, NoticeOutcome.EXPIRED, now)) for c in given_up]
        await upkeep.write_expired(connection, events, now)
    assert await ledger.notices() == {(given.conflict_id, 1): "failed"}
    assert [row["outcome"] for row in await ledger.pool.fetch("select outcome from outbox")] == ["expired"]
    assert await claim(ledger.pool) == []


async def test_no_old_notice_is_sent_again_once_there_is_a_newer_one(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    await ledger.tell(conflict(1))
    (first,) = await claim(ledger.pool)
    await finish(ledger, [first], True)
    now = datetime.now(UTC)
    assert await notices.retry(ledger.pool, AGENCY, first.delivery_id, now) == "delivered"
    await finish(ledger, await claim(ledger.pool), True)
    await ledger.tell(conflict(1, 2, Stage.RETRACTED))
    with pytest.raises(ContractViolation, match="newer"):
        await notices.retry(ledger.pool, AGENCY, first.delivery_id, now)
