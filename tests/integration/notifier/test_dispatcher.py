"""Many deliveries at once: shares of the slots, breaker, leases, two instances, the last attempt, the drain (G4)."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from contracts.types.conflict import Stage
from services.notifier.adapters.secrets import SecretBox
from services.notifier.domain.retry import SCHEDULE_S
from tests.integration.notifier.support import Ledger, Receiver, dispatching, has_attempt
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import OTHER, conflict


async def test_one_that_hangs_holds_its_share_and_its_neighbour_goes_on(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/hangs")
    await ledger.subscribe(receiver.url + "/fine", agency=OTHER)
    go_on = receiver.hangs("/hangs")
    async with dispatching(
        ledger, max_in_flight=20, max_in_flight_per_endpoint=4, webhook_deadline_s=120
    ) as dispatcher:
        await ledger.tell(*(conflict(n) for n in range(30)))
        dispatcher.wake()

        async def four_open() -> bool:
            return receiver.open.get("/hangs") == 4

        await eventually(four_open)
        await ledger.tell(*(conflict(n, agency=OTHER) for n in range(60)))
        dispatcher.wake()
        fine = "select count(*) from notices where recipient = $1 and status = 'delivered'"

        async def neighbour_done() -> bool:
            return int(await ledger.pool.fetchval(fine, OTHER)) == 60

        await eventually(neighbour_done)
        assert receiver.count("/hangs") == 4
        go_on.set()
        await eventually(ledger.settled)
    assert receiver.most_open["/hangs"] == 4


async def test_however_many_hang_one_more_finds_room_at_once(ledger: Ledger, receiver: Receiver) -> None:
    """Ten that would each take every slot, and answer in the end: no breaker opens."""
    hanging = [f"MATST02{n:02}" for n in range(10)]
    paths = [f"/hangs/{agency}" for agency in hanging]
    stops = [receiver.hangs(path) for path in paths]
    for k, agency in enumerate(hanging):
        await ledger.subscribe(receiver.url + paths[k], agency=agency)
        await ledger.tell(*(conflict(100 * k + n, agency=agency) for n in range(30)))
    await ledger.subscribe(receiver.url + "/fine", agency=OTHER)
    async with dispatching(ledger, max_in_flight=44, webhook_deadline_s=120) as dispatcher:

        async def all_hang() -> bool:
            return all(receiver.open.get(path) == 4 for path in paths)

        await eventually(all_hang)
        await ledger.tell(*(conflict(n, agency=OTHER) for n in range(40)))
        dispatcher.wake()

        async def fine() -> bool:
            return receiver.count("/fine") == 40

        await eventually(fine)
        assert all(receiver.open[path] == 4 for path in paths)
        for stop in stops:
            stop.set()
        await eventually(ledger.settled)


async def test_an_endpoint_that_keeps_failing_gets_one_attempt_at_a_time(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/sick")
    receiver.says("/sick", 500)
    failing = "select failures_in_a_row from subscriptions"
    async with dispatching(ledger, breaker_failures=3) as dispatcher:
        await ledger.tell(*(conflict(n) for n in range(10)))
        dispatcher.wake()

        async def open_breaker() -> bool:
            return int(await ledger.pool.fetchval(failing)) > 3

        await eventually(open_breaker)

        async def slow(_: web.Request) -> web.Response:
            await asyncio.sleep(0.02)  # long enough for a second one to be seen beside it
            return web.Response(status=500)

        before = receiver.count("/sick")
        receiver.most_open["/sick"] = 0
        receiver.answers["/sick"] = slow

        async def some_more() -> bool:
            return receiver.count("/sick") >= before + 5

        await eventually(some_more)
        assert receiver.most_open["/sick"] == 1
        receiver.says("/sick", 200)
        await eventually(ledger.settled)
    assert await ledger.pool.fetchval(failing) == 0


async def test_a_lease_that_runs_out_is_on_record_as_interrupted_and_sent_again(
    ledger: Ledger, receiver: Receiver
) -> None:
    """What a crash leaves: the attempt is in the ledger, without an outcome."""
    await ledger.subscribe(receiver.url + "/hangs")
    receiver.hangs("/hangs")
    async with dispatching(ledger, webhook_deadline_s=120) as crashed:
        await ledger.tell(conflict())

        async def under_way() -> bool:
            return receiver.count("/hangs") == 1

        await eventually(under_way)
        for task in crashed._attempts:
            task.cancel()
    await ledger.pool.execute("update deliveries set lease_until = now()")
    receiver.says("/hangs", 200)
    async with dispatching(ledger):
        await eventually(ledger.settled)
    assert await ledger.attempts() == [(1, "interrupted", None, None), (2, "delivered", 200, None)]
    assert receiver.got[0] == receiver.got[1]


async def test_two_side_by_side_never_have_the_same_one(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/hook")
    seen: dict[str, int] = {}
    at_once = 0

    async def watch(request: web.Request) -> web.Response:
        nonlocal at_once
        name = request.headers["webhook-id"]
        seen[name] = seen.get(name, 0) + 1
        at_once = max(at_once, seen[name])
        await asyncio.sleep(0.001)
        seen[name] -= 1
        return web.Response(status=200 if receiver.got.count(("/hook", name)) > 1 else 500)

    receiver.answers["/hook"] = watch
    many: dict[str, Any] = {"max_in_flight": 16, "breaker_failures": 10_000}
    async with dispatching(ledger, **many) as one, dispatching(ledger, **many) as two:
        await ledger.tell(*(conflict(n) for n in range(300)))
        one.wake()
        two.wake()
        await eventually(ledger.settled)
    assert at_once == 1
    attempts = await ledger.attempts()
    assert len(attempts) == len(receiver.got) == 600
    assert {(number, outcome) for number, outcome, _, _ in attempts} == {(1, "failed"), (2, "delivered")}


async def test_after_the_last_attempt_it_has_failed_and_that_is_told(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/dead")
    receiver.says("/dead", 500)
    given = conflict()
    async with dispatching(ledger, retry_scale=1e-7):
        await ledger.tell(given)
        await eventually(ledger.settled)
    assert receiver.count("/dead") == len(SCHEDULE_S) + 1
    assert await ledger.notices() == {(given.conflict_id, 1): "failed"}
    assert [row["outcome"] for row in await ledger.pool.fetch("select outcome from outbox")] == ["failed"]


async def test_a_newer_notice_ends_the_retries_of_the_older(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/hook")
    receiver.says("/hook", 500)
    given = conflict(stage=Stage.RELEASE_SCHEDULED)
    async with dispatching(ledger, retry_scale=0.02):
        await ledger.tell(given)
        await eventually(ledger.attempts)
        receiver.says("/hook", 200)
        await ledger.tell(conflict(version=2))
        await eventually(ledger.settled)
    assert (await ledger.notices())[given.conflict_id, 2] == "delivered"
    assert [name for _, name in receiver.got][-1] != receiver.got[0][1]


async def test_a_secret_that_cannot_be_read_holds_no_slot(ledger: Ledger, receiver: Receiver) -> None:
    """A lost key fails the attempts of that endpoint, on record; the others go on through the same two slots."""
    name = await ledger.subscribe(receiver.url + "/lost")
    await ledger.subscribe(receiver.url + "/fine", agency=OTHER)
    other = SecretBox(["c2FsbHlwb3J0LWRlc2NyaWJlcy1vbmx5LTMyYnl0ZXM="]).new()[1]
    await ledger.pool.execute("update subscriptions set secret_encrypted = $1 where subscription_id = $2", other, name)
    async with dispatching(ledger, max_in_flight=2, retry_scale=0.2):
        await ledger.tell(*(conflict(n) for n in range(4)))
        await eventually(lambda: has_attempt(ledger, (1, "failed", None, "secret_unreadable")))
        await ledger.tell(*(conflict(n, agency=OTHER) for n in range(4)))

        async def fine() -> bool:
            return receiver.count("/fine") == 4

        await eventually(fine)
    assert receiver.count("/lost") == 0


async def test_a_drain_waits_for_what_is_under_way_and_claims_no_more(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/slow")
    go_on = receiver.hangs("/slow")
    async with dispatching(ledger, max_in_flight_per_endpoint=5, webhook_deadline_s=120) as dispatcher:
        await ledger.tell(*(conflict(n) for n in range(12)))
        dispatcher.wake()

        async def full() -> bool:
            return receiver.count("/slow") == 5

        await eventually(full)
        draining = asyncio.create_task(dispatcher.drain(10))
        go_on.set()
        await draining
        found = sorted((await ledger.deliveries()).values())
        assert found == ["delivered"] * 5 + ["pending"] * 7
        assert await ledger.pool.fetchval("select count(*) from deliveries where claim_id is not null") == 0
