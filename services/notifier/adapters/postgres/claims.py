"""Claims on deliveries, and what became of them.

A claim is a short transaction: it marks deliveries as taken, with an id and a lease, and puts the attempt on record
before anything is sent. So whatever went out before a crash is in the ledger (G4). Every write afterwards carries the
claim's id: one whose lease ran out, and whose delivery another instance has taken, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from services.notifier.adapters.postgres.pool import Pool

__all__ = ["Claimed", "Finished", "claim", "due", "expire", "finish", "interrupt"]


class Claimed(Struct, frozen=True):
    """A delivery to be attempted now. failures: attempts that failed before this one (interrupted ones aside)."""

    delivery_id: str
    notice_id: str
    conflict_id: str
    version: int
    stage: str
    recipient: str
    subscription_id: str
    channel: str
    target: str
    secret_encrypted: bytes | None
    body: bytes
    attempt: int
    failures: int
    accepted_at: datetime
    failures_in_a_row: int


class Finished(Struct, frozen=True):
    """The outcome of one attempt. status of the delivery from now on; rest_until: the endpoint's breaker."""

    claimed: Claimed
    delivered: bool
    status: str
    next_attempt_at: datetime | None
    finished_at: datetime
    http_status: int | None
    error: str | None
    gone: bool
    rest_until: datetime | None
    event: bytes | None


# In-flight cap and breaker are inside the claim, so that a dead endpoint holds no slot that another could use. Each
# endpoint's share is found by one walk of the index of what is due, in the order of urgency.
_CLAIM = """
with taken as (
    select subscription_id, count(*) as n from deliveries where claim_id is not null group by subscription_id
), rooms as (
    select s.subscription_id, s.target, s.secret_encrypted, s.failures_in_a_row,
           case when s.failures_in_a_row >= $5 then 1 else $4 end - coalesce(taken.n, 0) as room
    from subscriptions s left join taken using (subscription_id)
    where s.status = 'active' and (s.resting_until is null or s.resting_until <= $2)
), picked as (
    select d.delivery_id, r.target, r.secret_encrypted, r.failures_in_a_row
    from rooms r cross join lateral (
        select delivery_id, urgency from deliveries
        where subscription_id = r.subscription_id and status = 'pending' and claim_id is null and next_attempt_at <= $2
        order by urgency, next_attempt_at
        limit greatest(r.room, 0)
        for update skip locked
    ) d
    order by d.urgency
    limit $6
), claimed as (
    update deliveries d set claim_id = $1, lease_until = $3, attempts = d.attempts + 1
    from picked where d.delivery_id = picked.delivery_id
    returning d.*, picked.target, picked.secret_encrypted, picked.failures_in_a_row
), recorded as (
    insert into attempts (delivery_id, attempt, claim_id, started_at)
    select delivery_id, attempts, $1, $2 from claimed
)
select c.delivery_id, c.notice_id, c.conflict_id, c.version, n.stage, n.recipient, c.subscription_id, c.channel,
       c.target, c.secret_encrypted, n.body, c.attempts, c.failures, n.accepted_at, c.failures_in_a_row
from claimed c join notices n using (notice_id) order by c.urgency
"""


async def claim(
    pool: Pool, claim_id: UUID, now: datetime, lease: timedelta, *, per_endpoint: int, threshold: int, limit: int
) -> list[Claimed]:
    """Take up to `limit` deliveries whose time has come, at most `per_endpoint` under way for one endpoint, one for an
    endpoint with `threshold` failures in a row."""
    rows = await pool.fetch(_CLAIM, claim_id, now, now + lease, per_endpoint, threshold, limit)
    return [Claimed(*row.values()) for row in rows]


# One statement, and so one transaction in one round trip: the delivery, its attempt, its notice and its event. A failed
# delivery that a newer version of its conflict overtook while it was under way stops here.
_FINISH = """
with outcome as (
    select * from unnest($1::text[], $2::int[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                         $7::bool[], $8::int[], $9::text[], $10::bytea[], $11::timestamptz[])
        as o(delivery_id, attempt, claim_id, status, next_attempt_at, finished_at, delivered, http_status, error,
             event, accepted_at)
), moved as (
    update deliveries d set
        status = case
            when o.status = 'pending' and exists (
                select from deliveries e where e.conflict_id = d.conflict_id and e.subscription_id = d.subscription_id
                    and e.version > d.version) then 'superseded'
            else o.status end,
        claim_id = null, lease_until = null,
        failures = d.failures + case when o.delivered then 0 else 1 end,
        next_attempt_at = coalesce(o.next_attempt_at, d.next_attempt_at),
        finished_at = case when o.status = 'pending' then null else o.finished_at end
    from outcome o where d.delivery_id = o.delivery_id and d.claim_id = o.claim_id
    returning d.delivery_id, d.notice_id, d.status, o.attempt, o.event, o.status as outcome, o.finished_at,
        o.accepted_at
), attempted as (
    update attempts a set finished_at = o.finished_at, http_status = o.http_status, error = o.error,
        outcome = case when o.delivered then 'delivered' else 'failed' end
    from outcome o where a.delivery_id = o.delivery_id and a.attempt = o.attempt and a.claim_id = o.claim_id
), told as (
    update notices n set status = m.status from (
        select notice_id, min(status) as status from moved where status in ('delivered', 'superseded')
        group by notice_id
    ) m
    where n.notice_id = m.notice_id and n.status in ('pending', 'failed', 'superseded')
), noted as (
    insert into outbox (event_id, notice_id, outcome, at, accepted_at, value)
    select delivery_id || '.' || attempt, notice_id, outcome, finished_at, accepted_at, event
    from moved where event is not null
)
select delivery_id, notice_id, status from moved
"""

_FAILED_NOTICES = """
update notices n set status = 'failed' where n.notice_id = any($1::text[]) and n.status = 'pending'
    and not exists (select from deliveries d where d.notice_id = n.notice_id and d.status in ('pending', 'delivered'))
"""

_ENDPOINTS = """
update subscriptions s set
    failures_in_a_row = case when o.delivered then 0 else s.failures_in_a_row + o.failures end,
    resting_until = case when o.delivered then null else o.rest_until end,
    status = case when o.gone and s.status in ('active', 'paused') then 'disabled' else s.status end,
    status_reason = case when o.gone then 'the endpoint answered 410 Gone' else s.status_reason end
from unnest($1::text[], $2::bool[], $3::int[], $4::timestamptz[], $5::bool[])
    as o(subscription_id, delivered, failures, rest_until, gone)
where s.subscription_id = o.subscription_id
  and (not o.delivered or s.failures_in_a_row > 0 or s.resting_until is not null)
"""

OUTBOX = """
insert into outbox (event_id, notice_id, outcome, at, accepted_at, value)
select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[])
"""


async def finish(pool: Pool, claim_ids: Sequence[UUID], outcomes: Sequence[Finished]) -> set[str]:
    """Write outcomes, each under its claim's id; returns the deliveries whose claim still held."""
    arguments = (
        [o.claimed.delivery_id for o in outcomes],
        [o.claimed.attempt for o in outcomes],
        list(claim_ids),
        [o.status for o in outcomes],
        [o.next_attempt_at for o in outcomes],
        [o.finished_at for o in outcomes],
        [o.delivered for o in outcomes],
        [o.http_status for o in outcomes],
        [o.error for o in outcomes],
        [o.event for o in outcomes],
        [o.claimed.accepted_at for o in outcomes],
    )
    if all(o.delivered and o.claimed.failures_in_a_row == 0 for o in outcomes):
        return {row["delivery_id"] for row in await pool.fetch(_FINISH, *arguments)}
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(_FINISH, *arguments)
        failed = [row["notice_id"] for row in rows if row["status"] == "failed"]
        if failed:
            await connection.execute(_FAILED_NOTICES, failed)
        await _endpoints(connection, outcomes)
    return {row["delivery_id"] for row in rows}


async def _endpoints(connection: Pool, outcomes: Sequence[Finished]) -> None:
    """One row for each endpoint: a success in the batch resets its breaker, failures alone add up."""
    by_endpoint: dict[str, list[Finished]] = {}
    for o in outcomes:
        by_endpoint.setdefault(o.claimed.subscription_id, []).append(o)
    # In one order everywhere: two instances that update the same endpoints do not wait for each other in a circle.
    rows = sorted(by_endpoint.items())
    await connection.execute(
        _ENDPOINTS,
        [name for name, _ in rows],
        [any(o.delivered for o in own) for _, own in rows],
        [sum(not o.delivered for o in own) for _, own in rows],
        [max((o.rest_until for o in own if o.rest_until is not None), default=None) for _, own in rows],
        [any(o.gone for o in own) for _, own in rows],
    )


async def write_outbox(connection: Pool, outcomes: Sequence[Finished]) -> None:
    """Put the events of what was delivered or failed for good beside the state that they tell of."""
    told = [o for o in outcomes if o.event is not None]
    if told:
        await connection.execute(
            OUTBOX,
            [f"{o.claimed.delivery_id}.{o.claimed.attempt}" for o in told],
            [o.claimed.notice_id for o in told],
            [o.status for o in told],
            [o.finished_at for o in told],
            [o.claimed.accepted_at for o in told],
            [o.event for o in told],
        )


_INTERRUPT = """
with lapsed as (
    select delivery_id from deliveries where claim_id is not null and lease_until < $1 for update skip locked
), freed as (
    update deliveries d set claim_id = null, lease_until = null, next_attempt_at = $1
    from lapsed where d.delivery_id = lapsed.delivery_id returning d.delivery_id, d.attempts
)
update attempts a set outcome = 'interrupted', finished_at = $1
from freed where a.delivery_id = freed.delivery_id and a.attempt = freed.attempts and a.outcome is null
"""


async def interrupt(pool: Pool, now: datetime) -> int:
    """Give back deliveries whose lease ran out; their attempt is on record as interrupted: it may have arrived."""
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
        await connection.execute(_FAILED_NOTICES, [row["notice_id"] for row in rows])
    return [
        Claimed(
            row["delivery_id"], row["notice_id"], row["conflict_id"], row["version"], row["stage"], row["recipient"],
            "", row["channel"], "", None, b"", row["attempts"], 0, row["accepted_at"], 0,
        )
        for row in rows
    ]  # fmt: skip


async def due(pool: Pool, now: datetime) -> tuple[int, float]:
    """(deliveries whose time has come and that may be tried now, seconds that the oldest of them has waited)."""
    row = await pool.fetchrow(
        """select count(*) as n, coalesce(extract(epoch from $1 - min(d.next_attempt_at)), 0)::float8 as oldest
        from deliveries d join subscriptions s using (subscription_id)
        where d.status = 'pending' and d.claim_id is null and d.next_attempt_at <= $1 and s.status = 'active'
          and (s.resting_until is null or s.resting_until <= $1)""",
        now,
    )
    return row["n"], row["oldest"]
