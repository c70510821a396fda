"""Claims and outcomes: who gets which delivery, what an outcome changes, and what a late one does not (G4)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from contracts.types.conflict import Stage
from contracts.types.notice import NoticeOutcome
from services.notifier.adapters.dispatcher import event_of
from services.notifier.adapters.postgres import notices, upkeep
from services.platform.errors import ContractViolation
from tests.integration.notifier.claiming import claim, finish
from tests.integration.notifier.support import Ledger
from tests.unit.notifier.conflicts import AGENCY, OTHER, conflict

LEASE = timedelta(seconds=60)


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
