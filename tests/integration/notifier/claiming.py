"""Claims and outcomes written by hand, as the dispatcher would: for tests of the ledger."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.types.notice import NoticeOutcome
from services.notifier.adapters.dispatcher import event_of
from services.notifier.adapters.postgres import claims
from services.notifier.adapters.postgres.claims import Claimed, Finished
from tests.integration.notifier.support import Ledger

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
