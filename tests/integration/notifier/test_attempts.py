"""One attempt against a real receiver: whatever the other side does ends as an attempt on record (G4)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from contracts.types.notice import Notice
from services.notifier.adapters.postgres import subscriptions
from services.notifier.domain.signature import encode_secret
from tests.integration.notifier.support import BOX, Ledger, Receiver, dispatching, has_attempt
from tests.support.waiting import eventually
from tests.unit.notifier.conflicts import AGENCY, conflict


async def test_a_notice_arrives_signed_and_is_delivered(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/hook")
    given = conflict()
    async with dispatching(ledger) as dispatcher:
        await ledger.tell(given)
        dispatcher.wake()
        await eventually(ledger.settled)
    kept = await ledger.pool.fetchval("select secret_encrypted from subscriptions")
    assert Webhook(encode_secret(BOX.signing_key(kept))).verify(receiver.bodies[0], receiver.headers[0])
    notice = msgspec.json.decode(receiver.bodies[0], type=Notice)
    assert notice.data.conflict_id == given.conflict_id
    assert receiver.got == [("/hook", notice.data.notice_id)]
    assert receiver.headers[0]["Content-Type"] == "application/json"
    assert await ledger.notices() == {(given.conflict_id, 1): "delivered"}
    assert await ledger.attempts() == [(1, "delivered", 200, None)]


async def test_a_failure_is_tried_again_with_the_same_id_and_body(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/hook")
    receiver.says("/hook", 500, 503, 200)
    async with dispatching(ledger):
        await ledger.tell(conflict())
        await eventually(ledger.settled)
    assert await ledger.attempts() == [
        (1, "failed", 500, "http_5xx"),
        (2, "failed", 503, "http_5xx"),
        (3, "delivered", 200, None),
    ]
    assert len(set(receiver.got)) == 1
    assert len(set(receiver.bodies)) == 1


async def test_one_that_hangs_is_cut_at_the_deadline(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/hangs")
    receiver.hangs("/hangs")
    async with dispatching(ledger, webhook_deadline_s=0.3):
        await ledger.tell(conflict())
        await eventually(lambda: has_attempt(ledger, (1, "failed", None, "timeout")))


async def test_a_body_that_trickles_is_cut_at_the_same_deadline(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/trickles")

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.05)

    receiver.answers["/trickles"] = trickle
    async with dispatching(ledger, webhook_deadline_s=0.4):
        await ledger.tell(conflict())
        await eventually(lambda: has_attempt(ledger, (1, "failed", None, "timeout")))


async def test_an_endless_body_is_read_to_the_limit_and_no_further(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/endless")
    written = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            written += 65536

    receiver.answers["/endless"] = flood
    async with dispatching(ledger, response_limit_bytes=1000):
        await ledger.tell(conflict())
        await eventually(ledger.settled)
    assert await ledger.attempts() == [(1, "delivered", 200, None)]
    assert written < 32 * 1024 * 1024  # what the sockets' buffers hold


async def test_a_redirect_is_a_failure_and_is_not_followed(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/moved")
    receiver.says("/moved", 307, headers={"Location": "/elsewhere"})
    async with dispatching(ledger):
        await ledger.tell(conflict())
        await eventually(lambda: has_attempt(ledger, (1, "failed", 307, "redirect")))
    assert receiver.count("/elsewhere") == 0


async def test_gone_disables_the_subscription_until_it_is_resumed(ledger: Ledger, receiver: Receiver) -> None:
    name = await ledger.subscribe(receiver.url + "/gone")
    receiver.says("/gone", 410)

    async def status() -> str:
        found = await subscriptions.get(ledger.pool, AGENCY, name)
        assert found is not None
        return found.status

    async def disabled() -> bool:
        return await status() == "disabled"

    async with dispatching(ledger) as dispatcher:
        await ledger.tell(conflict())
        await eventually(disabled)
        arrived = receiver.count("/gone")
        assert await ledger.tell(conflict(2)) == 0
        receiver.says("/gone", 200)
        assert not await ledger.settled()
        await ledger.set_status(name, "active")
        dispatcher.wake()
        await eventually(ledger.settled)
    assert receiver.count("/gone") == arrived + 1


async def test_retry_after_is_followed_for_the_notice_and_for_its_endpoint(ledger: Ledger, receiver: Receiver) -> None:
    await ledger.subscribe(receiver.url + "/busy")
    receiver.says("/busy", 429, headers={"Retry-After": "240"})
    async with dispatching(ledger, retry_scale=1.0):
        await ledger.tell(conflict())
        await eventually(lambda: has_attempt(ledger, (1, "failed", 429, "http_4xx")))
        await ledger.tell(conflict(2))
        due, rest = await ledger.pool.fetchrow(
            "select max(next_attempt_at), max(resting_until) from deliveries join subscriptions using (subscription_id)"
        )
    for at in (due, rest):
        assert timedelta(seconds=200) < at - datetime.now(UTC) <= timedelta(seconds=240)
    assert receiver.count("/busy") == 1


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:{port}/x", "address_not_public"),
        ("http://127.0.0.1.:{port}/x", "address_not_public"),
        ("http://2130706433:{port}/x", "address_not_public"),
        ("http://[::ffff:127.0.0.1]:{port}/x", "address_not_public"),
        ("http://localhost:{port}/x", "address_not_public"),
    ],
)
async def test_a_private_address_is_refused_at_the_attempt(
    ledger: Ledger, receiver: Receiver, url: str, error: str
) -> None:
    await ledger.subscribe(url.format(port=receiver.url.rpartition(":")[2]))
    async with dispatching(ledger, allow_private_endpoints=False):
        await ledger.tell(conflict())
        await eventually(lambda: has_attempt(ledger, (1, "failed", None, error)))
    assert receiver.got == []


async def test_nobody_there_is_a_failed_attempt(ledger: Ledger) -> None:
    await ledger.subscribe("http://127.0.0.1:1/x")
    async with dispatching(ledger):
        await ledger.tell(conflict())
        await eventually(lambda: has_attempt(ledger, (1, "failed", None, "connection_failed")))
