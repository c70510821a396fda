"""What is published of a pair: conflict versions for the agency, review versions for a person who decides.

A version is made where what there is to say differs from what was said last, and for nothing else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from contracts.ids import conflict_id, review_id
from contracts.types.common import Tier
from contracts.types.conflict import (
    Cause,
    Conflict,
    ConflictDetainer,
    ConflictEpisode,
    Decision,
    Identity,
    RetractionReason,
    Review,
    ReviewOutcome,
    ReviewSide,
    ReviewStatus,
    Stage,
)
from contracts.types.detainer import Detainer
from contracts.types.person import Person
from services.matcher.domain.episode import Episode
from services.matcher.domain.partition import Pair
from services.matcher.domain.stages import NOTIFIABLE, Standing, retracted

__all__ = ["Occasion", "asked", "is_asked", "news", "next_conflict", "next_review"]

_ENDINGS: Final = (Stage.CLOSED, Stage.RETRACTED)
"""Nothing is left to be done: nobody has to hear how sure it is by now who it was."""


class Occasion(Struct, frozen=True):
    """Of whom there is to be spoken, why now, and when. decision: a reviewer's, on just the evidence that there is."""

    episode: Episode
    detainer: Detainer
    decision: ReviewOutcome | None
    cause: Cause
    now: datetime


def news(pair: Pair, standing: Standing | None, on: Occasion) -> tuple[Standing, Identity] | None:
    """What the next version of the pair's conflict would say; None if there is nothing new to say."""
    told = pair.told
    identity = _decided(pair.identity, on.decision)
    tellable = identity.tier in NOTIFIABLE and identity.reviewed is not Decision.REJECT
    if standing is None or not tellable:
        if told is None or told.stage is Stage.RETRACTED:
            return None
        if standing is None or standing.stage is not Stage.RETRACTED:  # else it says itself what is gone
            nobody = on.episode.view.person is None  # the fact that named somebody is gone
            standing = retracted(RetractionReason.CUSTODY_CORRECTED if tellable or nobody else _why_lost(identity))
    elif told is None and standing.stage is Stage.RETRACTED:
        return None  # nobody was told anything that would have to be taken back
    same = identity.tier is pair.told_tier or standing.stage in _ENDINGS
    return None if same and standing == told else (standing, identity)


def next_conflict(pair: Pair, standing: Standing | None, on: Occasion) -> Conflict | None:
    """The next version of the pair's conflict, where there is one; `pair` then has it as told."""
    said = news(pair, standing, on)
    if said is None:
        return None
    told = pair.told
    standing, identity = said
    pair.version += 1
    pair.told, pair.told_tier = standing, identity.tier
    return Conflict(
        conflict_id=conflict_id(on.detainer.detainer_id, on.episode.id),
        version=pair.version,
        stage=standing.stage,
        previous_stage=told.stage if told is not None else None,
        detainer=_of_detainer(on.detainer),
        episode=_of_episode(on.episode),
        identity=identity,
        release=standing.release,
        retraction=standing.retraction,
        closed_because=standing.closed_because,
        alerts=standing.alerts,
        hold_until=standing.hold_until,
        custody_assumed_at=standing.custody_assumed_at,
        time_to_custody_s=_time_to_custody(standing),
        cause=on.cause,
        decided_at=on.now,
    )


def next_review(pair: Pair, standing: Standing | None, on: Occasion) -> Review | None:
    """The next version of the pair's review, where there is one; `pair` then has it.

    An open one follows the conflict's stage; a decided one stays as it is until the evidence or the decision changes.
    """
    status = _status(pair, standing, on.decision)
    if status is None:
        if pair.review is None:
            return None
        shown, identity = pair.review, pair.review_identity or pair.identity
        evidence = pair.review_evidence or pair.evidence
        pair.review = pair.review_identity = pair.review_decision = None
        pair.review_evidence = ""
        pair.review_status = ReviewStatus.OPEN
    else:
        assert standing is not None
        decision = on.decision.decision_id if on.decision is not None else None
        known = pair.review is not None and (pair.review_status, pair.review_decision) == (status, decision)
        seen = (pair.review_identity, pair.review_evidence) == (pair.identity, pair.evidence)
        if known and seen and (pair.review == standing or decision is not None):
            return None
        shown, identity, evidence = standing, pair.identity, pair.evidence
        pair.review, pair.review_identity, pair.review_evidence = standing, identity, evidence
        pair.review_status, pair.review_decision = status, decision
    pair.review_version += 1
    detainer, episode = on.detainer, on.episode
    return Review(
        review_id=review_id(detainer.detainer_id, episode.id),
        version=pair.review_version,
        status=status or ReviewStatus.WITHDRAWN,
        conflict_id=conflict_id(detainer.detainer_id, episode.id),
        stage=shown.stage,
        detainer=_of_detainer(detainer),
        detainer_side=ReviewSide(record=detainer.detainer_id, where=detainer.agency, person=detainer.person),
        custody_side=ReviewSide(record=episode.id, where=episode.facility, person=episode.view.person or Person()),
        identity=identity,
        evidence_id=evidence,
        outcome=on.decision if status is not None else None,
        cause=on.cause,
        decided_at=on.now,
    )


def asked(pair: Pair, standing: Standing | None, on: Occasion) -> tuple[ReviewStatus, Stage | None] | None:
    """How the pair's review would stand, and while it is open at which stage; None: there would be none."""
    status = _status(pair, standing, on.decision)
    return None if status is None or standing is None else _review(status, standing)


def is_asked(pair: Pair) -> tuple[ReviewStatus, Stage | None] | None:
    """How the pair's review stands by what was published."""
    return None if pair.review is None else _review(pair.review_status, pair.review)


def _review(status: ReviewStatus, standing: Standing) -> tuple[ReviewStatus, Stage | None]:
    return (status, standing.stage if status is ReviewStatus.OPEN else None)


def _status(pair: Pair, standing: Standing | None, decision: ReviewOutcome | None) -> ReviewStatus | None:
    """How the pair's review stands; None where there is nothing for a person to decide."""
    if pair.identity.tier is not Tier.POSSIBLE or standing is None:
        return None
    if standing.stage in _ENDINGS:
        return None
    if decision is None:
        return ReviewStatus.OPEN
    return ReviewStatus.CONFIRMED if decision.decision is Decision.CONFIRM else ReviewStatus.REJECTED


def _decided(identity: Identity, decision: ReviewOutcome | None) -> Identity:
    """The identity with what a person has said of it: confirmed, POSSIBLE is told as PROBABLE (rule 1: without
    fingerprints nobody confirms); rejected, it is not told whatever the tier."""
    if decision is None or (decision.decision is Decision.CONFIRM and identity.tier is not Tier.POSSIBLE):
        return identity
    tier = Tier.PROBABLE if decision.decision is Decision.CONFIRM else identity.tier
    return msgspec.structs.replace(identity, tier=tier, reviewed=decision.decision)


def _why_lost(identity: Identity) -> RetractionReason:
    rejected = identity.reviewed is Decision.REJECT
    return RetractionReason.IDENTITY_REJECTED if rejected else RetractionReason.IDENTITY_CHANGED


def _time_to_custody(standing: Standing) -> float | None:
    """Seconds from the release until the lodging agency had the person (the Hartford case: 62 days)."""
    released_at = standing.release.released_at if standing.release is not None else None
    if standing.custody_assumed_at is None or released_at is None:
        return None
    return max(0.0, (standing.custody_assumed_at - released_at).total_seconds())


def _of_detainer(detainer: Detainer) -> ConflictDetainer:
    return ConflictDetainer(
        detainer_id=detainer.detainer_id,
        agency=detainer.agency,
        agency_reference=detainer.agency_reference,
        type=detainer.type,
        intent=detainer.intent,
        lodged_at=detainer.lodged_at,
    )


def _of_episode(episode: Episode) -> ConflictEpisode:
    view = episode.view
    return ConflictEpisode(
        episode_id=episode.id,
        facility=episode.facility,
        booking_number=episode.booking_number,
        custody_status=view.status,
        booked_at=view.booked_at,
    )
