"""What nobody claims: attempts that a crash cut off, deliveries too old or without an endpoint, what is due.

Each may run in every instance at once: a row is moved by one of them, and the others find it moved.
"""

from __future__ import annotations

from datetime import datetime

from services.notifier.adapters.postgres.claims import FAILED_NOTICES, OUTBOX, Claimed
from services.notifier.adapters.postgres.pool import Pool

__all__ = ["due", "end_orphans", "expire", "interrupt", "write_expired"]

_INTERRUPT = """
with lapsed as (
    select delivery_id from deliveries where claim_id is not null and lease_until < $1 for update skip locked
), freed as (
    update deliveries d set claim_id = null, lease_until = null, next_attempt_at = $1,
        status = case when d.overtaken then 'superseded' else d.status end,
        finished_at = case when d.overtaken then $1::timestamptz end
    from lapsed where d.delivery_id = lapsed.delivery_id returning d.delivery_id, d.notice_id, d.attempts, d.status
), settled as (
    update notices n set status = 'superseded' from freed
    where n.notice_id = freed.notice_id and freed.status = 'superseded' and n.status = 'pending'
)
update attempts a set outcome = 'interrupted', finished_at = $1
from freed where a.delivery_id = freed.delivery_id and a.attempt = freed.attempts and a.outcome is null
"""


async def interrupt(pool: Pool, now: datetime) -> int:
    """Give back deliveries whose lease ran out; their attempt is on record as interrupted: it may have arrived.

    One that was overtaken meanwhile is not sent again: the newer notice would be followed by an older one.
    """
    status: str = await pool.execute(_INTERRUPT, now)
    return int(status.split()[-1])


_EXPIRE = """
with lapsed as (
    update deliveries d set status = 'failed', finished_at = $1
    from notices n, subscriptions s
    where d.notice_id = n.notice_id and d.subscription_id = s.subscription_id
      and d.status = 'pending' and d.claim_id is null and d.created_at < $2 and s.status <> 'paused'
    returning d.delivery_id, d.notice_id, d.conflict_id, d.version, d.channel, d.attempts, n.stage, n.recipient,
              n.accepted_at
)
select * from lapsed
"""


async def expire(connection: Pool, now: datetime, older_than: datetime) -> list[Claimed]:
    """Give up deliveries that are too old; a paused endpoint's wait on. Returns what was given up."""
    rows = await connection.fetch(_EXPIRE, now, older_than)
    if rows:
        await connection.execute(FAILED_NOTICES, [row["notice_id"] for row in rows])
    return [
        Claimed(
            row["delivery_id"], row["notice_id"], row["conflict_id"], row["version"], row["stage"], row["recipient"],
            "", row["channel"], "", None, b"", row["attempts"], 0, row["accepted_at"], 0,
        )
        for row in rows
    ]  # fmt: skip


async def write_expired(connection: Pool, given_up: list[tuple[Claimed, bytes]], now: datetime) -> None:
    """Put the events of what was given up into the outbox, in the transaction that gave it up."""
    if given_up:
        await connection.execute(
            OUTBOX,
            # Not the id of an attempt's event: the last attempt may have had one, before the agency asked for another.
            [f"{claimed.delivery_id}.{claimed.attempt}.expired" for claimed, _ in given_up],
            [claimed.notice_id for claimed, _ in given_up],
            ["expired"] * len(given_up),
            [now] * len(given_up),
            [claimed.accepted_at for claimed, _ in given_up],
            [event for _, event in given_up],
        )


_END_ORPHANS = """
with ended as (
    update deliveries d set status = 'superseded', overtaken = true, finished_at = $1
    from subscriptions s
    where d.subscription_id = s.subscription_id and s.status = 'deleted' and d.status = 'pending'
      and d.claim_id is null
    returning d.notice_id
)
update notices n set status = 'superseded' from ended where n.notice_id = ended.notice_id and n.status = 'pending'
    and not exists (select from deliveries o join subscriptions s using (subscription_id)
                    where o.notice_id = n.notice_id and o.status = 'pending' and s.status <> 'deleted')
"""


async def end_orphans(pool: Pool, now: datetime) -> None:
    """End what waits for a subscription that was deleted while the delivery was being made."""
    await pool.execute(_END_ORPHANS, now)


async def due(pool: Pool, now: datetime) -> dict[str, tuple[int, float]]:
    """By channel: (deliveries whose time has come and that may be tried now, seconds that the oldest has waited)."""
    rows = await pool.fetch(
        """select s.channel, count(*) as n, extract(epoch from $1 - min(d.next_attempt_at))::float8 as oldest
        from deliveries d join subscriptions s using (subscription_id)
        where d.status = 'pending' and d.claim_id is null and d.next_attempt_at <= $1 and s.status = 'active'
          and (s.resting_until is null or s.resting_until <= $1)
        group by s.channel""",
        now,
    )
    return {row["channel"]: (row["n"], row["oldest"]) for row in rows}
