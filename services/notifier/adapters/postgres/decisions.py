"""Reviewers' decisions: on record, with the bytes for Kafka, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw, Struct

from contracts.ids import decision_id
from contracts.types.conflict import Decision, ReviewDecision, ReviewStatus
from services.notifier.adapters.postgres.pool import Pool
from services.platform.errors import ContractViolation

__all__ = [
    "Asked",
    "DecisionOvertaken",
    "Recorded",
    "ReviewChanged",
    "ReviewClosed",
    "listed",
    "mark_sent",
    "record",
    "unsent",
]

_TICK = timedelta(microseconds=1)


class Asked(Struct, frozen=True):
    """What a reviewer asks for.

    source: the registered source that speaks for the reviewer. traceparent: a valid one, of what the asking belongs to.
    """

    review_id: str
    version: int
    decision: Decision
    reason: str
    reviewer: str
    source: str
    traceparent: str | None = None


class Recorded(Struct, frozen=True):
    """A decision on record. body: the record for Kafka, the same whenever it is sent. sent: Kafka has it."""

    decision_id: str
    review_id: str
    decision: str
    decided_at: datetime
    body: Raw
    sent: bool
    traceparent: str | None = None


class ReviewChanged(ContractViolation):
    """The reviewer saw another version than the newest."""

    def __init__(self, newest: int) -> None:
        super().__init__("review_changed", "the review has another version now: look again", "$.version")
        self.newest = newest


class DecisionOvertaken(ContractViolation):
    """What is asked for again is on record, and so is another decision since."""

    def __init__(self) -> None:
        super().__init__("decision_overtaken", "the review was decided otherwise since: look again", "$.decision")


class ReviewClosed(ContractViolation):
    """The ground of the review is gone."""

    def __init__(self) -> None:
        super().__init__("review_closed", "the review is withdrawn: there is nothing to decide")


_COLUMNS = "decision_id, review_id, decision, decided_at, body, sent_at is not null as sent, traceparent"


def _recorded(row: Any) -> Recorded:
    return Recorded(
        row["decision_id"], row["review_id"], row["decision"], row["decided_at"], Raw(row["body"]), row["sent"],
        row["traceparent"],
    )  # fmt: skip


async def record(pool: Pool, asked: Asked, now: datetime) -> Recorded | None:
    """Put a decision on record; one that is there already, by whatever is asked again, is returned as it is, unless
    it is not what holds any more: nobody is told that it was taken.

    None: no such review. The time of a decision is later than that of every one before it on the same review,
    whatever the clocks of two instances say: so the last one asked for is the newest.

    Raises ReviewClosed, ReviewChanged, DecisionOvertaken.
    """
    name = decision_id(asked.review_id, asked.version, asked.decision, asked.reviewer)
    async with pool.acquire() as connection, connection.transaction():
        # The lock lets one decision on a review in at a time, and no other version of it meanwhile.
        review = await connection.fetchrow(
            "select version, status, evidence_id, detainer_id, episode_id from reviews where review_id = $1 for update",
            asked.review_id,
        )
        # Before the version is looked at: a retry may come when the review has moved on, by this very decision.
        known = await connection.fetchrow(
            f"select {_COLUMNS} from decisions where decision_id = $1",  # noqa: S608 - a constant
            name,
        )
        newest = await connection.fetchrow(
            "select decision, decided_at from decisions where review_id = $1 order by decided_at desc limit 1",
            asked.review_id,
        )
        if known is not None:
            if newest["decision"] != known["decision"]:
                raise DecisionOvertaken
            return _recorded(known)
        if review is None:
            return None
        if review["status"] == ReviewStatus.WITHDRAWN:
            raise ReviewClosed
        if review["version"] != asked.version:
            raise ReviewChanged(review["version"])
        at = now if newest is None else max(now, newest["decided_at"] + _TICK)
        body = msgspec.json.encode(
            ReviewDecision(
                decision_id=name,
                review_id=asked.review_id,
                version=asked.version,
                evidence_id=review["evidence_id"],
                detainer_id=review["detainer_id"],
                episode_id=review["episode_id"],
                decision=asked.decision,
                reason=asked.reason,
                reviewer=asked.reviewer,
                decided_at=at,
            )
        )
        await connection.execute(
            """insert into decisions (decision_id, review_id, version, decision, reviewer, source, decided_at, body,
                traceparent)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
            name, asked.review_id, asked.version, str(asked.decision), asked.reviewer, asked.source, at, body,
            asked.traceparent,
        )  # fmt: skip
    return Recorded(name, asked.review_id, str(asked.decision), at, Raw(body), False, asked.traceparent)


async def listed(pool: Pool, review_id: str) -> list[Recorded]:
    """All decisions on a review, the oldest first."""
    rows = await pool.fetch(
        f"select {_COLUMNS} from decisions where review_id = $1 order by decided_at",  # noqa: S608 - a constant
        review_id,
    )
    return [_recorded(row) for row in rows]


async def unsent(pool: Pool, before: datetime, limit: int) -> list[Recorded]:
    """Decisions made at `before` or earlier that Kafka is not known to have, the oldest first."""
    rows = await pool.fetch(
        f"""select {_COLUMNS} from decisions where sent_at is null and decided_at <= $1
        order by decided_at limit $2""",  # noqa: S608 - a constant
        before,
        limit,
    )
    return [_recorded(row) for row in rows]


async def mark_sent(pool: Pool, decision_ids: Sequence[str], now: datetime) -> list[str]:
    """Kafka has these. Returns them by what was decided, those that were marked before left out."""
    rows = await pool.fetch(
        """update decisions set sent_at = $2 where decision_id = any($1::text[]) and sent_at is null
        returning decision""",
        list(decision_ids),
        now,
    )
    return [row["decision"] for row in rows]
