"""What was published of a pair, from what was published: the ground on which its next version is numbered.

For a partition whose state was lost. Its episodes come back from their facts; that a conflict is at version 4, and what
version 4 said, does not follow from facts. Numbered from 1 again, the next versions would be taken for repeats.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import Struct

from contracts.types.conflict import Conflict, CustodyStatus, Identity, Review, ReviewStatus, Stage
from contracts.types.notice import NoticeData
from services.matcher.domain.partition import Pair
from services.matcher.domain.stages import Standing

__all__ = ["Published", "pair_of", "published"]


class Published(Struct, frozen=True):
    """One version of a conflict, by whatever record of it."""

    detainer_id: str
    episode_id: str
    version: int
    standing: Standing
    identity: Identity
    decided_at: datetime


def published(record: Conflict | NoticeData) -> Published:
    """What a conflict version said, or a notice of it. A notice leaves out why a conflict was closed: its next version
    then says so again."""
    escaped = record.episode.custody_status is CustodyStatus.ESCAPED
    whole = record if isinstance(record, Conflict) else None
    return Published(
        detainer_id=record.detainer.detainer_id,
        episode_id=record.episode.episode_id,
        version=record.version,
        standing=Standing(
            stage=record.stage,
            release=record.release,
            retraction=record.retraction,
            closed_because=whole.closed_because if whole is not None else None,
            custody_assumed_at=whole.custody_assumed_at if whole is not None else None,
            escaped=escaped and record.stage in (Stage.IN_CUSTODY, Stage.RELEASE_SCHEDULED),
            alerts=record.alerts,
            hold_until=record.hold_until,
        ),
        identity=record.identity,
        decided_at=record.decided_at,
    )


def pair_of(conflict: Published | None, review: Review | None) -> Pair:
    """The pair as it stood after these, its newest versions; one of them is there.

    Of a review that is open only the stage is known, so that it comes in one more version where there was more to say.
    """
    if conflict is None and review is None:
        raise ValueError("nothing was published of the pair")
    by_review = review is not None and (conflict is None or review.decided_at > conflict.decided_at)
    identity = review.identity if by_review and review is not None else conflict.identity if conflict else None
    assert identity is not None
    # As the engine said it: what a person decided is asked for at each judgement.
    pair = Pair(identity=msgspec.structs.replace(identity, reviewed=None))
    if conflict is not None:
        pair.version, pair.told, pair.told_tier = conflict.version, conflict.standing, conflict.identity.tier
    if review is not None:
        pair.review_version = review.version
        if review.outcome is not None:  # its decision may be older than what review.decisions.v1 still has
            pair.decisions[review.evidence_id] = review.outcome
        if review.status is not ReviewStatus.WITHDRAWN:
            pair.review, pair.review_identity = Standing(stage=review.stage), review.identity
            pair.review_evidence = review.evidence_id
            pair.review_status = review.status
            pair.review_decision = review.outcome.decision_id if review.outcome is not None else None
    return pair
