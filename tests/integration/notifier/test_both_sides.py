"""An alarm is told to the facility too, and taken back from it; nothing else is (rules 15, 20; G6)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contracts.types.conflict import Alert, Conflict, Stage
from services.notifier.adapters.postgres import notices, subscriptions
from services.notifier.adapters.postgres.ledger import record
from services.notifier.domain.planning import Plan, plan
from tests.integration.notifier.claiming import claim, finish
from tests.integration.notifier.support import Ledger
from tests.unit.notifier.conflicts import AGENCY, JAIL, conflict


def alarm(version: int = 1, number: int = 1) -> Conflict:
    return conflict(number, version, Stage.HOLD_EXPIRED)


async def houses(ledger: Ledger) -> dict[tuple[str, int], str]:
    """(conflict, version) -> status, of the facility's notices."""
    rows = await ledger.pool.fetch("select conflict_id, version, status from notices where recipient = $1", JAIL)
    return {(row["conflict_id"], row["version"]): row["status"] for row in rows}


async def routes(ledger: Ledger, version: int) -> set[str]:
    """The subscriptions over which a version is to go."""
    return {name for (_, v, name) in await ledger.deliveries() if v == version}


@pytest.mark.parametrize(
    "given",
    [
        alarm(),
        conflict(1, 1, Stage.IN_CUSTODY, alerts=[Alert.OVER_DETENTION]),
        conflict(1, 1, Stage.RELEASE_SCHEDULED, alerts=[Alert.DETAINER_EXPIRES]),
    ],
)
async def test_an_alarm_goes_to_both_sides(ledger: Ledger, given: Conflict) -> None:
    ours, theirs = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    assert await ledger.tell(given) == 2
    assert await routes(ledger, 1) == {ours, theirs}
    claimed = {c.subscription_id: c for c in await claim(ledger.pool)}
    assert (claimed[ours].recipient, claimed[theirs].recipient) == (AGENCY, JAIL)
    assert claimed[ours].notice_id != claimed[theirs].notice_id
    before = await ledger.all_rows()
    assert await ledger.tell(given) == 0
    assert await ledger.all_rows() == before


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.HOLD_EXPIRED])
async def test_what_is_no_alarm_is_not_the_facilitys_business(ledger: Ledger, stage: Stage) -> None:
    await ledger.subscribe("https://j.example/", JAIL)
    await ledger.tell(conflict(1, 1, Stage.IN_CUSTODY))
    await ledger.tell(conflict(1, 2, stage))
    assert await houses(ledger) == {}
    assert await ledger.deliveries() == {}


@pytest.mark.parametrize("stage", [s for s in Stage if s is not Stage.HOLD_EXPIRED])
async def test_an_alarm_that_is_over_is_taken_back_from_the_facility_that_had_it(ledger: Ledger, stage: Stage) -> None:
    ours, theirs = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    await ledger.tell(alarm(1))
    await finish(ledger, await claim(ledger.pool), True)
    await ledger.subscribe("https://later.example/", JAIL)
    assert await ledger.tell(conflict(1, 2, stage)) == 2
    assert await routes(ledger, 2) == {ours, theirs}
    claimed = {c.subscription_id: c.recipient for c in await claim(ledger.pool)}
    assert claimed == {ours: AGENCY, theirs: JAIL}


async def test_an_alarm_that_never_left_is_not_taken_back(ledger: Ledger) -> None:
    ours, theirs = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    await ledger.set_status(theirs, "paused", JAIL)
    given = alarm(1)
    await ledger.tell(given)
    await finish(ledger, await claim(ledger.pool), True)
    assert await ledger.tell(conflict(1, 2)) == 1
    assert await routes(ledger, 2) == {ours}
    assert (await ledger.deliveries())[given.conflict_id, 1, theirs] == "superseded"
    await ledger.set_status(theirs, "active", JAIL)
    assert [c.subscription_id for c in await claim(ledger.pool)] == [ours]


async def test_the_agencys_version_takes_nothing_from_the_facility_and_the_other_way_round(ledger: Ledger) -> None:
    """The alarm waits at the facility, and the agency has it; then each side gets the newest, and only that."""
    ours, theirs = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    await ledger.tell(alarm(1))
    got = await claim(ledger.pool)
    await finish(ledger, [c for c in got if c.recipient == AGENCY], True)
    await finish(ledger, [c for c in got if c.recipient == JAIL], False)
    await ledger.tell(conflict(1, 2, Stage.HOLD_EXPIRED, alerts=[Alert.DETAINER_EXPIRES]))
    assert {(c.version, c.subscription_id) for c in await claim(ledger.pool)} == {(2, ours), (2, theirs)}
    rows = await ledger.pool.fetch("select recipient, status from notices where version = 1")
    assert {row["recipient"]: row["status"] for row in rows} == {AGENCY: "delivered", JAIL: "superseded"}


async def test_an_ending_reaches_only_the_side_that_an_earlier_version_reached(ledger: Ledger) -> None:
    ours, theirs = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    first, second = alarm(1, 1), conflict(2, 1, Stage.IN_CUSTODY)
    await ledger.tell(first, second)
    await finish(ledger, await claim(ledger.pool), True)
    await ledger.tell(conflict(1, 2, Stage.RETRACTED), conflict(2, 2, Stage.RETRACTED))
    assert {key for key in await ledger.deliveries() if key[1] == 2} == {
        (first.conflict_id, 2, ours),
        (first.conflict_id, 2, theirs),
        (second.conflict_id, 2, ours),
    }


async def test_a_retraction_follows_a_facility_that_changed_its_endpoint(ledger: Ledger) -> None:
    ours, old = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    await ledger.tell(alarm(1))
    await finish(ledger, await claim(ledger.pool), True)
    assert await subscriptions.delete(ledger.pool, JAIL, old, datetime.now(UTC))
    new = await ledger.subscribe("https://j2.example/", JAIL)
    await ledger.subscribe("https://a2.example/")
    assert await ledger.tell(conflict(1, 2, Stage.RETRACTED)) == 2
    assert await routes(ledger, 2) == {ours, new}


async def test_what_one_side_acknowledged_is_not_asked_of_the_other(ledger: Ledger) -> None:
    """Read and acknowledged by the facility, never sent to it: it was told, however the agency was."""
    ours, theirs = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    await ledger.set_status(theirs, "paused", JAIL)
    await ledger.tell(alarm(1))
    await finish(ledger, await claim(ledger.pool), True)
    name = await ledger.pool.fetchval("select notice_id from notices where recipient = $1", JAIL)
    assert await notices.acknowledge(ledger.pool, AGENCY, name, "received", None, datetime.now(UTC)) is None
    assert await notices.acknowledge(ledger.pool, JAIL, name, "received", None, datetime.now(UTC))
    assert await ledger.tell(conflict(1, 2, Stage.RETRACTED)) == 2
    assert await routes(ledger, 2) == {ours, theirs}


async def test_a_version_for_one_side_leaves_what_waits_for_the_other(ledger: Ledger) -> None:
    ours, theirs = await ledger.subscribe("https://a.example/"), await ledger.subscribe("https://j.example/", JAIL)
    given = alarm(1)
    await ledger.tell(given)
    made = plan([alarm(2)])
    assert await record(ledger.pool, Plan(made.tell, [], []), datetime.now(UTC), {}) == 1
    assert await ledger.deliveries() == {
        (given.conflict_id, 1, ours): "superseded",
        (given.conflict_id, 1, theirs): "pending",
        (given.conflict_id, 2, ours): "pending",
    }
    assert await record(ledger.pool, Plan([], [], made.facility), datetime.now(UTC), {}) == 1
    assert (await ledger.deliveries())[given.conflict_id, 1, theirs] == "superseded"


async def test_a_facility_without_a_subscription_leaves_nothing(ledger: Ledger) -> None:
    await ledger.subscribe("https://a.example/")
    assert await ledger.tell(alarm(1)) == 1
    assert await ledger.tell(conflict(1, 2)) == 1
    assert await houses(ledger) == {}
    gone = await ledger.subscribe("https://j.example/", JAIL)
    await subscriptions.delete(ledger.pool, JAIL, gone, datetime.now(UTC))
    assert await ledger.tell(alarm(3)) == 1
    assert await houses(ledger) == {}


async def test_a_late_alarm_that_is_over_already_is_on_record_and_not_told(ledger: Ledger) -> None:
    await ledger.subscribe("https://j.example/", JAIL)
    given = conflict(1, 2)
    await ledger.tell(given)
    assert await ledger.tell(alarm(1)) == 0
    assert await houses(ledger) == {(given.conflict_id, 1): "superseded"}


async def test_a_sheriff_who_runs_the_jail_is_told_once(ledger: Ledger) -> None:
    hook = await ledger.subscribe("https://a.example/")
    assert await ledger.tell(conflict(1, 1, Stage.HOLD_EXPIRED, facility=AGENCY)) == 1
    assert await routes(ledger, 1) == {hook}
