"""Conflict versions into the ledger: notices and deliveries of a batch in one transaction.

Repeating a batch changes nothing: ids are derived from what they name, and what is there already is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from contracts.ids import delivery_id
from services.notifier.adapters.postgres.pool import Pool
from services.notifier.domain.planning import ENDING, Plan, Planned

__all__ = ["record"]

_INSERT_NOTICES = """
insert into notices (notice_id, conflict_id, version, stage, recipient, urgency, body, status, accepted_at, decided_at,
                     created_at)
select n.notice_id, n.conflict_id, n.version, n.stage, n.recipient, n.urgency, n.body,
    case when exists (select from notices m where m.conflict_id = n.conflict_id and m.version > n.version)
         then 'superseded' else n.status end,
    n.accepted_at, n.decided_at, $10
from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::smallint[], $7::bytea[],
            $8::text[], $9::timestamptz[], $11::timestamptz[])
    as n(notice_id, conflict_id, version, stage, recipient, urgency, body, status, accepted_at, decided_at)
on conflict do nothing returning notice_id, status
"""

# Waits for a claim that is being made at this moment, and then sees it: what is not superseded here has been, or may
# have been, sent. What is under way is marked, so that it is not tried again when it fails.
_SUPERSEDE = """
with passed as (
    update deliveries d set overtaken = true,
        status = case when d.claim_id is null then 'superseded' else d.status end,
        finished_at = case when d.claim_id is null then $3::timestamptz end
    from unnest($1::text[], $2::int[]) as newest(conflict_id, version)
    where d.conflict_id = newest.conflict_id and d.version < newest.version
      and d.status = 'pending'
    returning d.notice_id, d.status
)
update notices n set status = 'superseded' from passed
where n.notice_id = passed.notice_id and passed.status = 'superseded' and n.status = 'pending'
"""

_EARLIER = """
select conflict_id from notices where (conflict_id, recipient) in (select * from unnest($1::text[], $2::text[]))
group by conflict_id
"""

_SUBSCRIBED = """
select agency, subscription_id, channel from subscriptions
where agency = any($1::text[]) and status in ('active', 'paused') order by subscription_id
"""

_REACHED = """
select distinct d.conflict_id, d.subscription_id, d.channel, s.status in ('active', 'paused') as living
from deliveries d join subscriptions s using (subscription_id)
where d.conflict_id = any($1::text[]) and d.attempts > 0
union all
select distinct conflict_id, '', '', false from notices
where conflict_id = any($1::text[]) and acknowledged_at is not null
  and not exists (select from deliveries d where d.conflict_id = notices.conflict_id and d.attempts > 0)
"""

_INSERT_DELIVERIES = """
insert into deliveries (delivery_id, notice_id, conflict_id, version, subscription_id, channel, urgency,
                        next_attempt_at, created_at)
select d.*, $8, $8
from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::smallint[]) as d
on conflict do nothing
"""


async def record(pool: Pool, plan: Plan, now: datetime) -> int:
    """Write a batch; returns how many deliveries it led to.

    An ending (closed, retracted) is told over those subscriptions over which an earlier version was sent or may have
    been (G6). Where one of them is no more, or the agency acknowledged what it had only read here, it goes over all
    that the agency has now: it was told, by whatever way. To an agency that never had a notice it is no notice at all.
    """
    endings = [p for p in plan.tell if p.conflict.stage in ENDING]
    async with pool.acquire() as connection, connection.transaction():
        known: set[str] = {p.conflict.conflict_id for p in plan.passed}
        if endings:
            rows = await connection.fetch(
                _EARLIER, [p.conflict.conflict_id for p in endings], [p.recipient for p in endings]
            )
            known |= {row["conflict_id"] for row in rows}
        tell = [p for p in plan.tell if p.conflict.stage not in ENDING or p.conflict.conflict_id in known]
        new = await _insert_notices(connection, tell, plan.passed, now)
        fresh = [p for p in tell if p.notice_id in new]
        if not fresh:
            return 0
        await connection.execute(
            _SUPERSEDE, [p.conflict.conflict_id for p in fresh], [p.conflict.version for p in fresh], now
        )
        routes = await _routes(connection, fresh)
        await _insert_deliveries(connection, routes, now)
        reached = {p.notice_id for p, _, _ in routes}
        unreached = [p.notice_id for p in fresh if p.notice_id not in reached]
        if unreached:
            await connection.execute(
                "update notices set status = 'no_subscription' where notice_id = any($1::text[])", unreached
            )
        return len(routes)


async def _insert_notices(
    connection: Pool, tell: Sequence[Planned], passed: Sequence[Planned], now: datetime
) -> set[str]:
    """Those that are new and to be told: not there yet, and no newer version is."""
    every = [*((p, "superseded") for p in passed), *((p, "pending") for p in tell)]
    if not every:
        return set()
    rows = await connection.fetch(
        _INSERT_NOTICES,
        [p.notice_id for p, _ in every],
        [p.conflict.conflict_id for p, _ in every],
        [p.conflict.version for p, _ in every],
        [str(p.conflict.stage) for p, _ in every],
        [p.recipient for p, _ in every],
        [p.urgency for p, _ in every],
        [p.body for p, _ in every],
        [status for _, status in every],
        [p.conflict.cause.accepted_at for p, _ in every],
        now,
        [p.conflict.decided_at for p, _ in every],
    )
    return {row["notice_id"] for row in rows if row["status"] == "pending"}


async def _routes(connection: Pool, fresh: Sequence[Planned]) -> list[tuple[Planned, str, str]]:
    """(notice, subscription id, channel) of every delivery to be made."""
    by_agency: dict[str, list[tuple[str, str]]] = {}
    for row in await connection.fetch(_SUBSCRIBED, list({p.recipient for p in fresh})):
        by_agency.setdefault(row["agency"], []).append((row["subscription_id"], row["channel"]))
    ending = [p.conflict.conflict_id for p in fresh if p.conflict.stage in ENDING]
    reached: dict[str, list[tuple[str, str]]] = {}
    rerouted: set[str] = set()
    for row in await connection.fetch(_REACHED, ending) if ending else ():
        if row["living"]:
            reached.setdefault(row["conflict_id"], []).append((row["subscription_id"], row["channel"]))
        else:
            rerouted.add(row["conflict_id"])
    routes: list[tuple[Planned, str, str]] = []
    for p in fresh:
        conflict = p.conflict.conflict_id
        only_reached = p.conflict.stage in ENDING and conflict not in rerouted
        ways = reached.get(conflict, []) if only_reached else by_agency.get(p.recipient, [])
        routes += [(p, subscription, channel) for subscription, channel in ways]
    return routes


async def _insert_deliveries(connection: Pool, routes: Sequence[tuple[Planned, str, str]], now: datetime) -> None:
    if routes:
        await connection.execute(
            _INSERT_DELIVERIES,
            [delivery_id(p.notice_id, subscription) for p, subscription, _ in routes],
            [p.notice_id for p, _, _ in routes],
            [p.conflict.conflict_id for p, _, _ in routes],
            [p.conflict.version for p, _, _ in routes],
            [subscription for _, subscription, _ in routes],
            [channel for _, _, channel in routes],
            [p.urgency for p, _, _ in routes],
            now,
        )
