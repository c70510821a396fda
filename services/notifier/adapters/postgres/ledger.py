"""Conflict versions into the ledger: notices and deliveries of a batch in one transaction.

Repeating a batch changes nothing: ids are derived from what they name, and what is there already is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from contracts.ids import delivery_id
from services.notifier.adapters.postgres.pool import Pool
from services.notifier.domain.planning import Plan, Planned

__all__ = ["Traces", "record"]

Traces: TypeAlias = Mapping[tuple[str, int], str]
"""(conflict id, version) -> traceparent, of those that have one."""

_INSERT_NOTICES = """
insert into notices (notice_id, conflict_id, version, stage, recipient, urgency, body, status, accepted_at, decided_at,
                     created_at, traceparent)
select n.notice_id, n.conflict_id, n.version, n.stage, n.recipient, n.urgency, n.body,
    case when exists (select from notices m where m.conflict_id = n.conflict_id and m.version > n.version)
         then 'superseded' else n.status end,
    n.accepted_at, n.decided_at, $10, n.traceparent
from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::smallint[], $7::bytea[],
            $8::text[], $9::timestamptz[], $11::timestamptz[], $12::text[])
    as n(notice_id, conflict_id, version, stage, recipient, urgency, body, status, accepted_at, decided_at, traceparent)
on conflict do nothing returning notice_id, status
"""

# Waits for a claim that is being made at this moment, and then sees it: what is not superseded here has been, or may
# have been, sent. What is under way is marked, so that it is not tried again when it fails. Each recipient by itself: a
# version that the facility is not told does not take an alarm away from it.
_SUPERSEDE = """
with passed as (
    update deliveries d set overtaken = true,
        status = case when d.claim_id is null then 'superseded' else d.status end,
        finished_at = case when d.claim_id is null then $4::timestamptz end
    from unnest($1::text[], $2::int[], $3::text[]) as newest(conflict_id, version, recipient), notices m
    where d.conflict_id = newest.conflict_id and d.version < newest.version
      and m.notice_id = d.notice_id and m.recipient = newest.recipient
      and d.status = 'pending'
    returning d.notice_id, d.status
)
update notices n set status = 'superseded' from passed
where n.notice_id = passed.notice_id and passed.status = 'superseded' and n.status = 'pending'
"""

_EARLIER = """
select distinct conflict_id, recipient from notices
where (conflict_id, recipient) in (select * from unnest($1::text[], $2::text[]))
"""

_EVER_SUBSCRIBED = """
select agency, bool_or(status <> 'deleted') as subscribes from subscriptions where agency = any($1::text[])
group by agency
"""

_SUBSCRIBED = """
select agency, subscription_id, channel from subscriptions
where agency = any($1::text[]) and status in ('active', 'paused') order by subscription_id
"""

# A subscription is its recipient's alone.
_REACHED = """
with told as (select * from unnest($1::text[], $2::text[]) as t(conflict_id, recipient)),
attempted as (
    select distinct d.conflict_id, s.agency as recipient, d.subscription_id, d.channel,
        s.status in ('active', 'paused') as living
    from told t join deliveries d using (conflict_id) join subscriptions s using (subscription_id)
    where s.agency = t.recipient and d.attempts > 0
)
select * from attempted
union all
select distinct n.conflict_id, n.recipient, '', '', false from told join notices n using (conflict_id, recipient)
where n.acknowledged_at is not null
  and not exists (select from attempted a where a.conflict_id = n.conflict_id and a.recipient = n.recipient)
"""

_INSERT_DELIVERIES = """
insert into deliveries (delivery_id, notice_id, conflict_id, version, subscription_id, channel, urgency,
                        next_attempt_at, created_at)
select d.*, $8, $8
from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::smallint[]) as d
on conflict do nothing
"""


async def record(pool: Pool, plan: Plan, now: datetime, traces: Traces) -> int:
    """Write a batch; returns how many deliveries it led to.

    What follows (an ending; any version that is no alarm, for a facility) is told over those subscriptions over which
    an earlier version was sent or may have been (G6). Where one of them is no more, or the recipient acknowledged what
    it had only read here, it goes over all that the recipient has now: it was told, by whatever way. To one who never
    had a notice it is no notice at all; nor is anything to a facility that has never subscribed.
    """
    async with pool.acquire() as connection, connection.transaction():
        tell = await _concerned(connection, plan)
        new = await _insert_notices(connection, tell, plan.passed, now, traces)
        fresh = [p for p in tell if p.notice_id in new]
        if not fresh:
            return 0
        await connection.execute(
            _SUPERSEDE,
            [p.conflict.conflict_id for p in fresh],
            [p.conflict.version for p in fresh],
            [p.recipient for p in fresh],
            now,
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


def _pair(planned: Planned) -> tuple[str, str]:
    return planned.conflict.conflict_id, planned.recipient


async def _concerned(connection: Pool, plan: Plan) -> list[Planned]:
    """Those of the batch that are a notice to their recipient."""
    houses: dict[str, bool] = {}
    if plan.facility:
        rows = await connection.fetch(_EVER_SUBSCRIBED, list({p.recipient for p in plan.facility}))
        houses = {row["agency"]: row["subscribes"] for row in rows}
    facility = [p for p in plan.facility if p.recipient in houses]
    following = [p for p in (*plan.tell, *facility) if p.follows]
    known = {_pair(p) for p in plan.passed}
    if following:
        pairs = [_pair(p) for p in following]
        rows = await connection.fetch(_EARLIER, [c for c, _ in pairs], [r for _, r in pairs])
        known |= {(row["conflict_id"], row["recipient"]) for row in rows}
    return [
        *(p for p in plan.tell if not p.follows or _pair(p) in known),
        *(p for p in facility if (_pair(p) in known if p.follows else houses[p.recipient])),
    ]


async def _insert_notices(
    connection: Pool, tell: Sequence[Planned], passed: Sequence[Planned], now: datetime, traces: Traces
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
        [traces.get((p.conflict.conflict_id, p.conflict.version)) for p, _ in every],
    )
    return {row["notice_id"] for row in rows if row["status"] == "pending"}


async def _routes(connection: Pool, fresh: Sequence[Planned]) -> list[tuple[Planned, str, str]]:
    """(notice, subscription id, channel) of every delivery to be made."""
    by_agency: dict[str, list[tuple[str, str]]] = {}
    for row in await connection.fetch(_SUBSCRIBED, list({p.recipient for p in fresh})):
        by_agency.setdefault(row["agency"], []).append((row["subscription_id"], row["channel"]))
    following = [_pair(p) for p in fresh if p.follows]
    reached: dict[tuple[str, str], list[tuple[str, str]]] = {}
    rerouted: set[tuple[str, str]] = set()
    if following:
        for row in await connection.fetch(_REACHED, [c for c, _ in following], [r for _, r in following]):
            pair = (row["conflict_id"], row["recipient"])
            if row["living"]:
                reached.setdefault(pair, []).append((row["subscription_id"], row["channel"]))
            else:
                rerouted.add(pair)
    routes: list[tuple[Planned, str, str]] = []
    for p in fresh:
        only_reached = p.follows and _pair(p) not in rerouted
        ways = reached.get(_pair(p), []) if only_reached else by_agency.get(p.recipient, [])
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
