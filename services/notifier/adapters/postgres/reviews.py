"""Reviews as their reviewers see them: the newest version of each, whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Raw, Struct

from contracts.types.conflict import Review
from services.notifier.adapters.postgres.cursors import decode_cursor, encode_cursor
from services.notifier.adapters.postgres.pool import Pool

__all__ = ["Kept", "Page", "ReviewLine", "get", "keep", "page"]


class Kept(Struct, frozen=True):
    """A version as it came. review None: it was taken off the topic. body: the record's bytes."""

    review_id: str
    review: Review | None
    episode_id: str = ""
    body: bytes = b""


class ReviewLine(Struct, frozen=True):
    """A review in a list: nothing of the person."""

    review_id: str
    version: int
    status: str
    stage: str
    facility: str
    agency: str
    conflict_id: str
    decided_at: datetime


class Page(Struct, frozen=True):
    """next_cursor: for the page after this one; None on the last."""

    reviews: list[ReviewLine]
    next_cursor: str | None


_PUT = """
insert into reviews as r (review_id, version, status, stage, facility, agency, conflict_id, detainer_id, episode_id,
                          evidence_id, decided_at, body)
select * from unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::text[], $10::text[], $11::timestamptz[], $12::bytea[])
on conflict (review_id) do update set
    version = excluded.version, status = excluded.status, stage = excluded.stage, facility = excluded.facility,
    agency = excluded.agency, conflict_id = excluded.conflict_id, detainer_id = excluded.detainer_id,
    episode_id = excluded.episode_id, evidence_id = excluded.evidence_id, decided_at = excluded.decided_at,
    body = excluded.body
where r.version < excluded.version
"""


async def keep(pool: Pool, batch: Sequence[Kept]) -> None:
    """Write a batch, in its order: of each review the newest version stays, repeats and older ones change nothing."""
    gone: set[str] = set()
    newest: dict[str, tuple[Review, Kept]] = {}
    for kept in batch:
        if kept.review is None:
            gone.add(kept.review_id)
            newest.pop(kept.review_id, None)
        elif kept.review_id not in newest or newest[kept.review_id][0].version < kept.review.version:
            newest[kept.review_id] = (kept.review, kept)
    # In one order everywhere: two instances that write the same reviews do not wait for each other in a circle.
    rows = [newest[name] for name in sorted(newest)]
    async with pool.acquire() as connection, connection.transaction():
        if gone:
            await connection.execute("delete from reviews where review_id = any($1::text[])", sorted(gone))
        if rows:
            await connection.execute(
                _PUT,
                [review.review_id for review, _ in rows],
                [review.version for review, _ in rows],
                [str(review.status) for review, _ in rows],
                [str(review.stage) for review, _ in rows],
                [review.custody_side.where for review, _ in rows],
                [review.detainer.agency for review, _ in rows],
                [review.conflict_id for review, _ in rows],
                [review.detainer.detainer_id for review, _ in rows],
                [kept.episode_id for _, kept in rows],
                [review.evidence_id for review, _ in rows],
                [review.decided_at for review, _ in rows],
                [kept.body for _, kept in rows],
            )


async def page(pool: Pool, *, status: str | None, limit: int, cursor: str | None) -> Page:
    """Reviews, the oldest first. One that changes meanwhile comes again on a later page; none that is there is missed.

    Raises ContractViolation: the cursor is none of ours.
    """
    after = decode_cursor(cursor) if cursor else (None, None)
    rows = await pool.fetch(
        """select review_id, version, status, stage, facility, agency, conflict_id, decided_at from reviews
        where ($1::text is null or status = $1)
          and ($2::timestamptz is null or (decided_at, review_id) > ($2, $3))
        order by decided_at, review_id limit $4""",
        status, *after, limit + 1,
    )  # fmt: skip
    lines = [ReviewLine(*row.values()) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(lines, encode_cursor(lines[-1].decided_at, lines[-1].review_id) if more else None)


async def get(pool: Pool, review_id: str) -> Raw | None:
    """The newest version, as it came."""
    body = await pool.fetchval("select body from reviews where review_id = $1", review_id)
    return None if body is None else Raw(body)
