"""A real receiver, and a dispatcher on a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from cryptography.fernet import Fernet

from contracts.types.conflict import Conflict
from services.notifier.adapters.dispatcher import Dispatcher
from services.notifier.adapters.postgres import subscriptions
from services.notifier.adapters.postgres.ledger import record
from services.notifier.adapters.secrets import SecretBox
from services.notifier.adapters.smtp import MailSender
from services.notifier.adapters.webhook import WebhookSender
from services.notifier.domain.planning import plan
from services.notifier.settings import NotifierSettings
from tests.unit.notifier.conflicts import AGENCY

__all__ = ["BOX", "Ledger", "Receiver", "dispatching", "has_attempt", "settings"]

BOX = SecretBox([Fernet.generate_key().decode()])
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """An agency's endpoint. `answers`: path -> handler; others say 200. `got`: (path, webhook-id) as they came."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.got: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.open: dict[str, int] = {}
        self.most_open: dict[str, int] = {}
        self.url = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.got.append((path, request.headers.get("webhook-id", "")))
        self.headers.append(dict(request.headers))
        self.bodies.append(await request.read())
        self.open[path] = self.open.get(path, 0) + 1
        self.most_open[path] = max(self.open[path], self.most_open.get(path, 0))
        try:
            return await self.answers[path](request) if path in self.answers else web.Response()
        finally:
            self.open[path] -= 1

    def count(self, path: str) -> int:
        return sum(got == path for got, _ in self.got)

    def says(self, path: str, *statuses: int, headers: dict[str, str] | None = None) -> None:
        """Answer with these in turn, and then with the last."""
        left = list(statuses)

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=left.pop(0) if len(left) > 1 else left[0], headers=headers)

        self.answers[path] = answer

    def hangs(self, path: str) -> asyncio.Event:
        """Answer nothing until the event that is returned is set."""
        event = asyncio.Event()

        async def answer(_: web.Request) -> web.Response:
            await event.wait()
            return web.Response()

        self.answers[path] = answer
        return event


class Ledger:
    """What tests do with the ledger and ask of it."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    async def subscribe(self, target: str, agency: str = AGENCY, channel: str = "webhook", box: SecretBox = BOX) -> str:
        encrypted = box.new()[1] if channel == "webhook" else None
        made = await subscriptions.add(self.pool, agency, channel, target, encrypted, datetime.now(UTC))
        return made.subscription_id

    async def set_status(self, name: str, status: str, agency: str = AGENCY) -> None:
        assert await subscriptions.set_status(self.pool, agency, name, status, "a test", datetime.now(UTC))

    async def tell(self, *conflicts: Conflict) -> int:
        return await record(self.pool, plan(conflicts), datetime.now(UTC), {})

    async def notices(self) -> dict[tuple[str, int], str]:
        """(conflict, version) -> status."""
        rows = await self.pool.fetch("select conflict_id, version, status from notices")
        return {(row["conflict_id"], row["version"]): row["status"] for row in rows}

    async def deliveries(self) -> dict[tuple[str, int, str], str]:
        """(conflict, version, subscription) -> status."""
        rows = await self.pool.fetch("select conflict_id, version, subscription_id, status from deliveries")
        return {(row["conflict_id"], row["version"], row["subscription_id"]): row["status"] for row in rows}

    async def attempts(self) -> list[tuple[int, str | None, int | None, str | None]]:
        """(attempt, outcome, HTTP status, error), in the order in which they began."""
        rows = await self.pool.fetch(
            "select attempt, outcome, http_status, error from attempts order by started_at, delivery_id, attempt"
        )
        return [tuple(row.values()) for row in rows]

    async def all_rows(self) -> list[list[tuple[Any, ...]]]:
        """Everything, to see that nothing changed."""
        return [
            [tuple(row.values()) for row in await self.pool.fetch(f"select * from {table} order by 1, 2")]
            for table in ("subscriptions", "notices", "deliveries", "attempts", "outbox")
        ]

    async def settled(self) -> bool:
        """Whether no delivery waits or is under way."""
        return not await self.pool.fetchval("select count(*) from deliveries where status = 'pending'")


def settings(**changes: Any) -> NotifierSettings:
    """Quick ones: retries within milliseconds. An attempt has time, since a busy machine is no endpoint that hangs."""
    quick: dict[str, Any] = {
        "retry_scale": 0.002,
        "webhook_deadline_s": 30.0,
        "lease_margin_s": 5.0,
        "poll_s": 0.02,
        "breaker_failures": 50,
        "allow_private_endpoints": True,
        "allow_plaintext": True,
    }
    return NotifierSettings(_env_file=None, **{**quick, **changes})


@asynccontextmanager
async def dispatching(ledger: Ledger, box: SecretBox = BOX, **changes: Any) -> AsyncIterator[Dispatcher]:
    """A dispatcher at work, as the composition root builds it; what ends one of its loops fails the test."""
    chosen = settings(**changes)
    webhooks = WebhookSender(
        deadline_s=chosen.webhook_deadline_s,
        response_limit=chosen.response_limit_bytes,
        connections=chosen.max_in_flight,
        allow_private=chosen.allow_private_endpoints,
    )
    dispatcher = Dispatcher(
        chosen, lambda: ledger.pool, webhooks=webhooks, mail=MailSender(chosen), secrets=box, told=lambda: None
    )
    await webhooks.start()
    loops = [asyncio.create_task(loop) for loop in (dispatcher.run(), dispatcher.write(), dispatcher.sweep())]
    try:
        yield dispatcher
        for loop in loops:
            assert not loop.done() or loop.exception() is None, loop
    finally:
        await dispatcher.drain(1.0)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await webhooks.stop()


async def has_attempt(ledger: Ledger, attempt: tuple[int, str | None, int | None, str | None]) -> bool:
    """Whether this attempt is on record: (number, outcome, HTTP status, error)."""
    return attempt in await ledger.attempts()
