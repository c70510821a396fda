"""Notices as their recipient reads them, acknowledges them, and has them sent again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from contracts.types.conflict import Stage
from contracts.types.notice import NoticeEvent, NoticeOutcome
from services.notifier.adapters.postgres.claims import OUTBOX
from services.notifier.adapters.postgres.cursors import decode_cursor, encode_cursor
from services.notifier.adapters.postgres.pool import Pool
from services.platform.errors import ContractViolation

Response: TypeAlias = Literal["received", "will_pick_up", "declined"]

__all__ = ["Attempt", "Delivery", "NoticeView", "Page", "acknowledge", "get", "page", "retry"]


class Attempt(Struct, frozen=True, omit_defaults=True):
    """One attempt. outcome: delivered, failed, interrupted (it may have arrived), or absent while under way."""

    attempt: int
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    http_status: int | None = None
    error: str | None = None


class Delivery(Struct, frozen=True, omit_defaults=True):
    delivery_id: str
    subscription_id: str
    channel: str
    status: str
    attempts: list[Attempt]
    next_attempt_at: datetime | None = None


class NoticeView(Struct, frozen=True, omit_defaults=True):
    """A notice with what became of it. notice: the webhook's body, as it was or will be sent."""

    notice_id: str
    conflict_id: str
    version: int
    stage: str
    status: str
    created_at: datetime
    notice: Raw
    acknowledgement: str | None = None
    acknowledged_at: datetime | None = None
    deliveries: list[Delivery] = []


class Page(Struct, frozen=True):
    """next_cursor: for the page after this one; None on the last."""

    notices: list[NoticeView]
    next_cursor: str | None


_COLUMNS = "notice_id, conflict_id, version, stage, status, created_at, body, acknowledgement, acknowledged_at"


def _view(row: Any, deliveries: list[Delivery]) -> NoticeView:
    return NoticeView(
        notice_id=row["notice_id"],
        conflict_id=row["conflict_id"],
        version=row["version"],
        stage=row["stage"],
        status=row["status"],
        created_at=row["created_at"],
        notice=Raw(row["body"]),
        acknowledgement=row["acknowledgement"],
        acknowledged_at=row["acknowledged_at"],
        deliveries=deliveries,
    )


async def _deliveries(pool: Pool, notice_ids: list[str]) -> dict[str, list[Delivery]]:
    attempts: dict[str, list[Attempt]] = {}
    for row in await pool.fetch(
        """select a.delivery_id, a.attempt, a.started_at, a.finished_at, a.outcome, a.http_status, a.error
        from attempts a join deliveries d using (delivery_id) where d.notice_id = any($1::text[])
        order by a.delivery_id, a.attempt""",
        notice_ids,
    ):
        attempts.setdefault(row["delivery_id"], []).append(Attempt(*list(row.values())[1:]))
    found: dict[str, list[Delivery]] = {}
    for row in await pool.fetch(
        """select notice_id, delivery_id, subscription_id, channel, status,
            case when status = 'pending' then next_attempt_at end as next_attempt_at
        from deliveries where notice_id = any($1::text[]) order by created_at, delivery_id""",
        notice_ids,
    ):
        found.setdefault(row["notice_id"], []).append(
            Delivery(
                row["delivery_id"], row["subscription_id"], row["channel"], row["status"],
                attempts.get(row["delivery_id"], []), row["next_attempt_at"],
            )
        )  # fmt: skip
    return found


async def get(pool: Pool, agency: str, notice_id: str) -> NoticeView | None:
    """One notice of `agency`; None if it is another's, or nobody's."""
    row = await pool.fetchrow(
        f"select {_COLUMNS} from notices where recipient = $1 and notice_id = $2",  # noqa: S608 - constant columns
        agency, notice_id,
    )  # fmt: skip
    return _view(row, (await _deliveries(pool, [notice_id])).get(notice_id, [])) if row else None


async def page(
    pool: Pool,
    agency: str,
    *,
    status: str | None,
    stage: str | None,
    since: datetime | None,
    limit: int,
    cursor: str | None,
) -> Page:
    """Notices of `agency`, newest first. A notice made meanwhile is not on a later page, and none is there twice.

    Raises ContractViolation: the cursor is none of ours.
    """
    before = decode_cursor(cursor) if cursor else (None, None)
    rows = await pool.fetch(
        f"""select {_COLUMNS} from notices
        where recipient = $1 and ($2::text is null or status = $2) and ($3::text is null or stage = $3)
          and ($4::timestamptz is null or created_at >= $4)
          and ($5::timestamptz is null or (created_at, notice_id) < ($5, $6))
        order by created_at desc, notice_id desc limit $7""",  # noqa: S608 - constant columns
        agency, status, stage, since, *before, limit + 1,
    )  # fmt: skip
    deliveries = await _deliveries(pool, [row["notice_id"] for row in rows[:limit]])
    views = [_view(row, deliveries.get(row["notice_id"], [])) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(views, encode_cursor(views[-1].created_at, views[-1].notice_id) if more else None)


async def acknowledge(
    pool: Pool, agency: str, notice_id: str, response: Response, note: str | None, now: datetime
) -> NoticeView | None:
    """Record the agency's answer; a later one replaces it. What waits to be sent is not sent any more, and
    what is under way is not tried again: they have it."""
    async with pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            """update notices set acknowledgement = $3, acknowledgement_note = $4, acknowledged_at = $5,
                status = 'acknowledged'
            where recipient = $1 and notice_id = $2
            returning conflict_id, version, stage, accepted_at""",
            agency, notice_id, response, note, now,
        )  # fmt: skip
        if row is None:
            return None
        await connection.execute(
            """update deliveries set overtaken = true,
                status = case when claim_id is null then 'superseded' else status end,
                finished_at = case when claim_id is null then $2::timestamptz end
            where notice_id = $1 and status = 'pending'""",
            notice_id, now,
        )  # fmt: skip
        event = NoticeEvent(
            notice_id=notice_id,
            conflict_id=row["conflict_id"],
            version=row["version"],
            stage=Stage(row["stage"]),
            recipient=agency,
            outcome=NoticeOutcome.ACKNOWLEDGED,
            at=now,
            acknowledgement=response,
        )
        await connection.execute(
            OUTBOX,
            [f"{notice_id}.acknowledged.{now.timestamp():.6f}"],
            [notice_id],
            [str(NoticeOutcome.ACKNOWLEDGED)],
            [now],
            [row["accepted_at"]],
            [msgspec.json.encode(event)],
        )
    return await get(pool, agency, notice_id)


async def retry(pool: Pool, agency: str, delivery_id: str, now: datetime) -> str | None:
    """Put a delivery back to be attempted now, its schedule from the beginning.

    Returns: its status before (delivered ones are sent again too: the agency asks for it); None if it is not there.

    Raises ContractViolation: a newer notice of the conflict is there (sent after it, the old one would mislead), its
    subscription is deleted, or it is under way right now.
    """
    row = await pool.fetchrow(
        """with asked as (
            select d.delivery_id, d.status, d.claim_id is not null as under_way, d.notice_id,
                s.status = 'deleted' as ended,
                d.status = 'superseded' or exists (
                    select from notices m where m.conflict_id = d.conflict_id and m.version > d.version) as overtaken
            from deliveries d join notices n using (notice_id) join subscriptions s using (subscription_id)
            where n.recipient = $1 and d.delivery_id = $2
            for update of d
        ), moved as (
            update deliveries d set status = 'pending', failures = 0, next_attempt_at = $3, finished_at = null,
                created_at = $3, overtaken = false
            from asked where d.delivery_id = asked.delivery_id
                and not (asked.overtaken or asked.under_way or asked.ended)
            returning d.delivery_id
        ), reopened as (
            update notices n set status = 'pending' from asked, moved
            where n.notice_id = asked.notice_id and n.status = 'failed'
        )
        select asked.status, asked.under_way, asked.overtaken, asked.ended from asked""",
        agency, delivery_id, now,
    )  # fmt: skip
    if row is None:
        return None
    if row["under_way"]:
        raise ContractViolation("delivery_under_way", "an attempt is under way")
    if row["ended"]:
        raise ContractViolation("subscription_deleted", "its subscription is deleted")
    if row["overtaken"]:
        raise ContractViolation("delivery_superseded", "a newer notice, or an acknowledgement, took its place")
    return str(row["status"])
