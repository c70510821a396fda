"""Claims on deliveries, and what became of them.

A claim is a short transaction: it marks deliveries as taken, with an id and a lease, and puts the attempt on record
before anything is sent. So whatever went out before a crash is in the ledger (G4). Every write afterwards carries the
claim's id: one whose lease ran out, and whose delivery another instance has taken, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from services.notifier.adapters.postgres.pool import Pool

__all__ = ["FAILED_NOTICES", "OUTBOX", "Claimed", "Finished", "claim", "finish"]


class Claimed(Struct, frozen=True):
    """A delivery to be attempted now.

    failures: attempts that failed before this one (interrupted ones aside).
    first: the recipient has not taken the notice yet, over whatever endpoint, as far as is known.
    traceparent: of what the notice came from.
    """

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
    first: bool = True
    traceparent: str | None = None


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


# In-flight cap and breaker are inside the claim, so that a dead endpoint holds no slot that another could use. So is
# each endpoint's share of this instance's slots: it may hold no more than what stays free after it (a dynamic
# threshold, as switches share their buffers by). One alone has half, two a third each; and when many hang, one that has
# nothing under way still finds room.
#
# `waiting` steps from one endpoint to the next through the index of what waits: subscriptions for which nothing waits
# cost nothing. What an endpoint has under way is one walk of the index of what is claimed: counted over all endpoints
# at once, it became a scan of the whole ledger. Nothing to speak of is locked beyond what is claimed, since the shares
# add up to the free slots; what another instance is claiming at this moment is stepped over.
_CLAIM = """
with recursive waiting as (
    (select subscription_id from deliveries where status = 'pending' and claim_id is null
     order by subscription_id limit 1)
    union all
    select (select d.subscription_id from deliveries d
            where d.status = 'pending' and d.claim_id is null and d.subscription_id > w.subscription_id
            order by d.subscription_id limit 1)
    from waiting w where w.subscription_id is not null
), held as (
    select * from unnest($7::text[], $8::int[]) as h(subscription_id, n)
), rooms as materialized (
    select s.subscription_id, s.target, s.secret_encrypted, s.failures_in_a_row,
           case when s.failures_in_a_row >= $5 then 1 else $4 end - (
               select count(*) from deliveries f
               where f.subscription_id = s.subscription_id and f.claim_id is not null) as room,
           coalesce(held.n, 0) as held
    from waiting join subscriptions s using (subscription_id)
        left join held using (subscription_id)
    where s.status = 'active' and s.channel = $9 and (s.resting_until is null or s.resting_until <= $2)
      and exists (select from deliveries d where d.subscription_id = s.subscription_id and d.status = 'pending'
                  and d.claim_id is null and d.next_attempt_at <= $2)
), takers as (
    select count(*) as n from rooms where held < $6::int
), picked as (
    select d.delivery_id, r.target, r.secret_encrypted, r.failures_in_a_row
    from rooms r cross join takers t cross join lateral (
        select delivery_id, urgency, next_attempt_at from deliveries
        where subscription_id = r.subscription_id and status = 'pending' and claim_id is null and next_attempt_at <= $2
        order by urgency, next_attempt_at
        limit greatest(least(r.room, greatest(($6 - r.held) / (t.n + 1), (r.held = 0)::int)), 0)
        for update skip locked
    ) d
    order by d.urgency, d.next_attempt_at
    limit $6::int
), claimed as (
    update deliveries d set claim_id = $1, lease_until = $3, attempts = d.attempts + 1
    from picked where d.delivery_id = picked.delivery_id
    returning d.*, picked.target, picked.secret_encrypted, picked.failures_in_a_row
), recorded as (
    insert into attempts (delivery_id, attempt, claim_id, started_at)
    select delivery_id, attempts, $1, $2 from claimed
)
select c.delivery_id, c.notice_id, c.conflict_id, c.version, n.stage, n.recipient, c.subscription_id, c.channel,
       c.target, c.secret_encrypted, n.body, c.attempts, c.failures, n.accepted_at, c.failures_in_a_row,
       n.status = 'pending' as first, n.traceparent
from claimed c join notices n using (notice_id) order by c.urgency
"""


async def claim(
    pool: Pool,
    claim_id: UUID,
    now: datetime,
    lease: timedelta,
    *,
    channel: str,
    per_endpoint: int,
    threshold: int,
    held: Mapping[str, int],
    limit: int,
) -> list[Claimed]:
    """Take deliveries of one channel that are due, the most urgent first.

    per_endpoint: most under way to one endpoint, over all instances; one only, with `threshold` failures in a row.
    limit: the slots that this instance has free; held: how many of the others each endpoint has.
    """
    rows = await pool.fetch(
        _CLAIM,
        claim_id,
        now,
        now + lease,
        per_endpoint,
        threshold,
        limit,
        list(held),
        list(held.values()),
        channel,
    )
    return [Claimed(*row.values()) for row in rows]


# One statement, and so one transaction in one round trip: the delivery, its attempt, its notice and its event. A failed
# delivery that was overtaken while it was under way (a newer version, an acknowledgement, a deleted subscription) stops
# here. A late outcome, under a claim that was given back, leaves the delivery alone; its attempt says what came of it.
_FINISH = """
with outcome as (
    select * from unnest($1::text[], $2::int[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                         $7::bool[], $8::int[], $9::text[], $10::bytea[], $11::timestamptz[])
        as o(delivery_id, attempt, claim_id, status, next_attempt_at, finished_at, delivered, http_status, error,
             event, accepted_at)
), moved as (
    update deliveries d set
        status = case
            when o.status = 'pending' and d.overtaken then 'superseded'
            else o.status end,
        claim_id = null, lease_until = null,
        failures = d.failures + case when o.delivered then 0 else 1 end,
        next_attempt_at = coalesce(o.next_attempt_at, d.next_attempt_at),
        finished_at = case when o.status = 'pending' and not d.overtaken then null else o.finished_at end
    from outcome o where d.delivery_id = o.delivery_id and d.claim_id = o.claim_id
    returning d.delivery_id, d.notice_id, d.subscription_id, d.status, o.attempt, o.event, o.status as outcome,
        o.finished_at, o.accepted_at
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
), healed as (
    update subscriptions s set failures_in_a_row = 0, resting_until = null
    from (select distinct subscription_id from moved where outcome = 'delivered') m
    where s.subscription_id = m.subscription_id and (s.failures_in_a_row > 0 or s.resting_until is not null)
), noted as (
    insert into outbox (event_id, notice_id, outcome, at, accepted_at, value)
    select delivery_id || '.' || attempt, notice_id, outcome, finished_at, accepted_at, event
    from moved where event is not null
)
select delivery_id, notice_id, status from moved
"""

FAILED_NOTICES = """
update notices n set status = 'failed' where n.notice_id = any($1::text[]) and n.status = 'pending'
    and not exists (select from deliveries d where d.notice_id = n.notice_id and d.status in ('pending', 'delivered'))
"""

# Many attempts that were under way together and failed together are one fall of the endpoint: they bring its count up
# to the breaker's threshold, and only the single attempts after that make the rest longer. Counted one by one, a
# receiver that restarts under load would be left alone for the longest rest at once.
_ENDPOINTS = """
update subscriptions s set
    failures_in_a_row = greatest(s.failures_in_a_row, least(s.failures_in_a_row + o.crowd, $7)) + o.probes,
    resting_until = greatest(s.resting_until, o.rest_until),
    status = case when o.gone and s.status in ('active', 'paused') then 'disabled' else s.status end,
    status_reason = case when o.gone then 'the endpoint answered 410 Gone' else s.status_reason end
from unnest($1::text[], $2::bool[], $3::int[], $4::int[], $5::timestamptz[], $6::bool[])
    as o(subscription_id, delivered, crowd, probes, rest_until, gone)
where s.subscription_id = o.subscription_id and (not o.delivered or o.gone)
"""

OUTBOX = """
insert into outbox (event_id, notice_id, outcome, at, accepted_at, value)
select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[])
"""


async def finish(pool: Pool, claim_ids: Sequence[UUID], outcomes: Sequence[Finished], threshold: int) -> set[str]:
    """Write outcomes, each under its claim's id; returns the deliveries whose claim still held.

    threshold: failures in a row at which an endpoint's breaker opens.
    """
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
    if all(o.delivered for o in outcomes):
        return {row["delivery_id"] for row in await pool.fetch(_FINISH, *arguments)}
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(_FINISH, *arguments)
        failed = [row["notice_id"] for row in rows if row["status"] == "failed"]
        if failed:
            await connection.execute(FAILED_NOTICES, failed)
        held = {row["delivery_id"] for row in rows}
        await _endpoints(connection, [o for o in outcomes if o.claimed.delivery_id in held], threshold)
    return held


async def _endpoints(connection: Pool, outcomes: Sequence[Finished], threshold: int) -> None:
    """One row for each endpoint: failures add up, unless there is a success among them, which `_FINISH` has noted."""
    by_endpoint: dict[str, list[Finished]] = {}
    for o in outcomes:
        by_endpoint.setdefault(o.claimed.subscription_id, []).append(o)
    # In one order everywhere: two instances that update the same endpoints do not wait for each other in a circle.
    rows = sorted(by_endpoint.items())
    taken = [any(o.delivered for o in own) for _, own in rows]
    await connection.execute(
        _ENDPOINTS,
        [name for name, _ in rows],
        taken,
        [
            0 if ok else sum(o.claimed.failures_in_a_row < threshold for o in own)
            for (_, own), ok in zip(rows, taken, strict=True)
        ],
        [
            0 if ok else sum(o.claimed.failures_in_a_row >= threshold for o in own)
            for (_, own), ok in zip(rows, taken, strict=True)
        ],
        [
            None if ok else max((o.rest_until for o in own if o.rest_until is not None), default=None)
            for (_, own), ok in zip(rows, taken, strict=True)
        ],
        [any(o.gone for o in own) for _, own in rows],
        threshold,
    )
