"""Subscriptions in PostgreSQL. Every statement names the agency: another's subscription is one that is not there."""

from __future__ import annotations

import secrets
from datetime import datetime

from msgspec import Struct

from services.notifier.adapters.postgres.pool import Pool

__all__ = ["Subscription", "add", "delete", "get", "listed", "secret_of", "set_status"]


class Subscription(Struct, frozen=True, omit_defaults=True):
    """As its agency sees it. status: active, paused, or disabled (the endpoint answered 410)."""

    subscription_id: str
    channel: str
    target: str
    status: str
    created_at: datetime
    status_reason: str | None = None
    failures_in_a_row: int = 0
    resting_until: datetime | None = None


_COLUMNS = "subscription_id, channel, target, status, created_at, status_reason, failures_in_a_row, resting_until"


async def add(
    pool: Pool, agency: str, channel: str, target: str, secret_encrypted: bytes | None, now: datetime
) -> Subscription:
    name = f"sub_{secrets.token_hex(12)}"
    row = await pool.fetchrow(
        f"""insert into subscriptions (subscription_id, agency, channel, target, secret_encrypted, created_at)
        values ($1, $2, $3, $4, $5, $6) returning {_COLUMNS}""",  # noqa: S608 - a constant
        name, agency, channel, target, secret_encrypted, now,
    )  # fmt: skip
    return Subscription(*row.values())


async def listed(pool: Pool, agency: str) -> list[Subscription]:
    rows = await pool.fetch(
        f"select {_COLUMNS} from subscriptions where agency = $1 and status <> 'deleted' order by created_at",  # noqa: S608
        agency,
    )
    return [Subscription(*row.values()) for row in rows]


async def get(pool: Pool, agency: str, subscription_id: str) -> Subscription | None:
    row = await pool.fetchrow(
        f"select {_COLUMNS} from subscriptions where agency = $1 and subscription_id = $2 and status <> 'deleted'",  # noqa: S608
        agency, subscription_id,
    )  # fmt: skip
    return Subscription(*row.values()) if row else None


async def secret_of(pool: Pool, agency: str, subscription_id: str) -> bytes | None:
    """The encrypted secret of a webhook subscription."""
    secret: bytes | None = await pool.fetchval(
        "select secret_encrypted from subscriptions where agency = $1 and subscription_id = $2", agency, subscription_id
    )
    return secret


async def set_status(
    pool: Pool, agency: str, subscription_id: str, status: str, reason: str, now: datetime
) -> Subscription | None:
    """Pause or resume. Resuming also forgets past failures: what has gathered is tried at once, and its time to expire
    runs from now on, however long the pause was."""
    row = await pool.fetchrow(
        f"""with moved as (update subscriptions set status = $3, status_reason = $4,
            failures_in_a_row = case when $3 = 'active' then 0 else failures_in_a_row end,
            resting_until = case when $3 = 'active' then null else resting_until end
        where agency = $1 and subscription_id = $2 and status <> 'deleted' returning {_COLUMNS}
        ), gathered as (
            update deliveries d set next_attempt_at = least(d.next_attempt_at, $5), created_at = $5
            from moved where $3 = 'active' and d.subscription_id = moved.subscription_id and d.status = 'pending'
        )
        select {_COLUMNS} from moved""",  # noqa: S608
        agency, subscription_id, status, reason, now,
    )  # fmt: skip
    return Subscription(*row.values()) if row else None


async def delete(pool: Pool, agency: str, subscription_id: str, now: datetime) -> bool:
    """End a subscription: what waits for it is superseded, the ledger of what was sent stays, the secret goes."""
    async with pool.acquire() as connection, connection.transaction():
        found = await connection.fetchval(
            """update subscriptions set status = 'deleted', status_reason = 'deleted by its agency',
                secret_encrypted = case when channel = 'webhook' then ''::bytea end
            where agency = $1 and subscription_id = $2 and status <> 'deleted' returning true""",
            agency, subscription_id,
        )  # fmt: skip
        if not found:
            return False
        await connection.execute(
            """with ended as (
                update deliveries set overtaken = true,
                    status = case when claim_id is null then 'superseded' else status end,
                    finished_at = case when claim_id is null then $2::timestamptz end
                where subscription_id = $1 and status = 'pending' returning notice_id, status),
            others as (
                select n.notice_id, bool_or(d.status = 'pending') as waits, bool_or(d.status = 'failed') as failed
                from ended n left join deliveries d on d.notice_id = n.notice_id and d.subscription_id <> $1
                where n.status = 'superseded' group by n.notice_id)
            update notices n set status = case when others.failed then 'failed' else 'no_subscription' end
            from others where n.notice_id = others.notice_id and n.status = 'pending'
                and others.waits is not true""",
            subscription_id, now,
        )  # fmt: skip
    return True
