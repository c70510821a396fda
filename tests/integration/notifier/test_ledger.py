"""Conflict versions into the ledger: once, to whom it concerns, and taken back from whom it reached (G4, G6)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.types.conflict import Stage
from services.notifier.adapters.postgres import notices, subscriptions, upkeep
from tests.integration.notifier.claiming import claim, finish
from tests.integration.notifier.support import Ledger
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import AGENCY, OTHER, conflict

LEASE = timedelta(seconds=60)


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
