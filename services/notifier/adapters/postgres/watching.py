"""What an operator watches of the ledger: how each endpoint does, and release notices not taken or not answered.

Two statements, each by an index of what is open; what is done with, however much, is not looked at.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from services.notifier.adapters.postgres.pool import Pool

__all__ = ["Endpoint", "Releases", "endpoints", "releases"]


class Endpoint(Struct, frozen=True):
    """A subscription that is not deleted. oldest_s: seconds that the oldest waiting delivery has waited, 0 of none."""

    agency: str
    subscription_id: str
    channel: str
    state: str
    failures_in_a_row: int
    in_flight: int
    waiting: int
    oldest_s: float


# Each count is one walk of a partial index, of what waits and of what is claimed.
_ENDPOINTS = """
select s.agency, s.subscription_id, s.channel,
       case when s.status = 'active' and s.resting_until > $1 then 'resting' else s.status end as state,
       s.failures_in_a_row, f.n as in_flight, w.n as waiting, coalesce(w.oldest, 0)::float8 as oldest_s
from subscriptions s
    cross join lateral (
        select count(*) as n, extract(epoch from $1 - min(d.created_at)) as oldest from deliveries d
        where d.subscription_id = s.subscription_id and d.status = 'pending' and d.claim_id is null) w
    cross join lateral (
        select count(*) as n from deliveries d
        where d.subscription_id = s.subscription_id and d.claim_id is not null) f
where s.status <> 'deleted'
"""


async def endpoints(pool: Pool, now: datetime) -> list[Endpoint]:
    """Every endpoint there is."""
    return [Endpoint(*row.values()) for row in await pool.fetch(_ENDPOINTS, now)]


class Releases(Struct, frozen=True):
    """Release notices of one agency in one status: how many, and the seconds since the oldest's input was accepted."""

    agency: str
    status: str
    count: int
    oldest_s: float


# Through notices_release_open: what waits, however old, and the rest of a window, since an agency that never answers
# would have all of its notices counted for ever. What a newer version overtook is history, answered or not.
_RELEASES = """
with open as (
    select recipient, status, accepted_at, conflict_id, version from notices
    where urgency = 0 and status = 'pending'
    union all
    select recipient, status, accepted_at, conflict_id, version from notices
    where urgency = 0 and status in ('delivered', 'failed', 'no_subscription') and created_at >= $2
)
select recipient, status, count(*) as n, extract(epoch from $1 - min(accepted_at))::float8 as oldest_s
from open o
where not exists (
    select from notices m where m.conflict_id = o.conflict_id and m.version > o.version and m.recipient = o.recipient)
group by recipient, status
"""


async def releases(pool: Pool, now: datetime, since: datetime) -> list[Releases]:
    """Release notices (urgency 0) that are pending, and those made at or after `since` that nobody has acknowledged."""
    return [Releases(*row.values()) for row in await pool.fetch(_RELEASES, now, since)]
