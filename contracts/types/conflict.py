"""Conflicts and reviews: what the matcher says of a (detainer, custody episode) pair."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from contracts.types.common import (
    AgencyReference,
    BookingNumber,
    Code,
    Contract,
    Instant,
    ShortText,
    Text,
    Tier,
    Version,
)
from contracts.types.custody import ReleaseReason
from contracts.types.detainer import DetainerType, Intent
from contracts.types.person import Person

__all__ = [
    "Alert",
    "Cause",
    "Conflict",
    "ConflictDetainer",
    "ConflictEpisode",
    "CustodyStatus",
    "Decision",
    "Evidence",
    "Identity",
    "Release",
    "RetractionReason",
    "Review",
    "ReviewDecision",
    "ReviewOutcome",
    "ReviewSide",
    "ReviewStatus",
    "Stage",
]

ConflictId = Annotated[str, Meta(pattern=r"^con_[a-z2-7]{24}\Z")]
DetainerId = Annotated[str, Meta(pattern=r"^det_[a-z2-7]{24}\Z")]
EpisodeId = Annotated[str, Meta(pattern=r"^epi_[a-z2-7]{24}\Z")]
ReviewId = Annotated[str, Meta(pattern=r"^rev_[a-z2-7]{24}\Z")]


class Stage(StrEnum):
    """Where a conflict stands (DESIGN.md, "The join")."""

    IN_CUSTODY = "in_custody"
    RELEASE_SCHEDULED = "release_scheduled"
    RELEASED = "released"
    RELEASED_BEFORE_DETAINER = "released_before_detainer"
    TRANSFERRED = "transferred"
    HOLD_EXPIRED = "hold_expired"
    CLOSED = "closed"
    RETRACTED = "retracted"


class CustodyStatus(StrEnum):
    IN_CUSTODY = "in_custody"
    RELEASED = "released"
    INFERRED_RELEASE = "inferred_release"
    ESCAPED = "escaped"
    HELD_ELSEWHERE = "held_elsewhere"
    DIED = "died"
    TRANSFERRED = "transferred"


class RetractionReason(StrEnum):
    """Which ground of the conflict fell away (G6)."""

    DETAINER_LIFTED = "detainer_lifted"
    DETAINER_WITHDRAWN = "detainer_withdrawn"
    DETAINER_EXPIRED = "detainer_expired"
    DETAINER_DECLINED = "detainer_declined"
    DETAINER_SUPERSEDED = "detainer_superseded"
    DETAINER_ENDED = "detainer_ended"
    IDENTITY_CHANGED = "identity_changed"
    IDENTITY_REJECTED = "identity_rejected"
    BOOKING_VOIDED = "booking_voided"
    CUSTODY_CORRECTED = "custody_corrected"


class Alert(StrEnum):
    """What time alone has brought about, beside the stage. Told to the agency and to the facility (rules 15, 20)."""

    DETAINER_EXPIRES = "detainer_expires"
    OVER_DETENTION = "over_detention"


class Decision(StrEnum):
    """What a reviewer says of a hit: it is the person, or it is not."""

    CONFIRM = "confirm"
    REJECT = "reject"


class Evidence(Contract, kw_only=True, frozen=True):
    """One line of the waterfall: what was compared, how it came out, and its weight in bits where there is one."""

    field: ShortText
    outcome: ShortText
    bits: float | None = None


class Identity(Contract, kw_only=True, frozen=True):
    """How sure it is that the person in custody is the person of the detainer, and why.

    `model` names what decided (G7). A veto caps the tier at POSSIBLE and is listed here; it never hides a hit.
    `reviewed`: a person decided on just this evidence; confirmed by one, a POSSIBLE hit is told as PROBABLE.
    """

    tier: Tier
    model: ShortText
    probability: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    evidence: list[Evidence] = []
    vetoes: list[ShortText] = []
    reviewed: Decision | None = None


class ConflictDetainer(Contract, kw_only=True, frozen=True):
    detainer_id: DetainerId
    agency: Code
    agency_reference: AgencyReference
    type: DetainerType
    intent: Intent
    lodged_at: Instant


class ConflictEpisode(Contract, kw_only=True, frozen=True):
    episode_id: EpisodeId
    facility: Code
    booking_number: BookingNumber
    custody_status: CustodyStatus
    booked_at: Instant | None = None


class Release(Contract, kw_only=True, frozen=True):
    """The end of custody that makes the conflict: scheduled, or come about.

    `inferred`: nobody reported it (rule 10). `inferred_stands`: and nothing has contradicted it for as long as the
    operator has set.
    """

    scheduled_for: Instant | None = None
    released_at: Instant | None = None
    reason: ReleaseReason | None = None
    released_to: Code | None = None
    inferred: bool = False
    inferred_stands: bool = False
    to_facility: Code | None = None


class Cause(Contract, kw_only=True, frozen=True):
    """The input that led to this version: a custody event, a detainer version, a review decision, or time (a timer).

    `accepted_at` is when ingest took it; from there the end-to-end age runs.
    """

    kind: ShortText
    source: ShortText
    event_id: Annotated[str, Meta(max_length=128)]
    occurred_at: Instant
    accepted_at: Instant


class Conflict(Contract, kw_only=True, frozen=True):
    """One version of the conflict of one (detainer, custody episode) pair.

    Versions count from 1 without gaps, and each is published exactly once (G3).
    """

    conflict_id: ConflictId
    version: Version
    stage: Stage
    detainer: ConflictDetainer
    episode: ConflictEpisode
    identity: Identity
    cause: Cause
    decided_at: Instant
    previous_stage: Stage | None = None
    release: Release | None = None
    retraction: RetractionReason | None = None
    closed_because: Annotated[str, Meta(pattern=r"^(handed_over|custody_assumed|died)\Z")] | None = None
    alerts: list[Alert] = []
    hold_until: Annotated[Instant, Meta(description="When an immigration hold runs out: 8 CFR 287.7(d).")] | None = None
    custody_assumed_at: Annotated[Instant, Meta(description="When the lodging agency reported custody.")] | None = None
    time_to_custody_s: (
        Annotated[float, Meta(ge=0, description="Seconds from the release to the lodging agency's custody.")] | None
    ) = None


class ReviewStatus(StrEnum):
    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class ReviewSide(Contract, kw_only=True, frozen=True):
    """One side of a review, as the reviewer has to see it. record: the detainer id, or the episode id."""

    record: ShortText
    where: Code
    person: Person


EvidenceId = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{32}\Z",
        description="Names the evidence of a hit: what was compared, how it came out, and the vetoes.",
    ),
]
DecisionId = Annotated[str, Meta(pattern=r"^dec_[a-z2-7]{24}\Z")]


class ReviewOutcome(Contract, kw_only=True, frozen=True):
    """What was decided, by whom and why."""

    decision_id: DecisionId
    decision: Decision
    reason: Text
    reviewer: ShortText
    decided_at: Instant


class Review(Contract, kw_only=True, frozen=True):
    """A hit that is only POSSIBLE: a person decides, and nothing leaves until then.

    CONFIRMED, REJECTED: a person decided, on the evidence that `evidence_id` names. Other evidence opens it again.
    WITHDRAWN: the ground has gone (detainer lifted, booking voided, identity changed).
    """

    review_id: ReviewId
    version: Version
    status: ReviewStatus
    conflict_id: ConflictId
    stage: Stage
    detainer: ConflictDetainer
    detainer_side: ReviewSide
    custody_side: ReviewSide
    identity: Identity
    evidence_id: EvidenceId
    cause: Cause
    decided_at: Instant
    outcome: ReviewOutcome | None = None


class ReviewDecision(Contract, kw_only=True, frozen=True):
    """A reviewer's decision on one version of a review. It holds for the evidence that the reviewer saw, and for no
    other; of two on the same evidence the newest by (decided_at, decision_id) counts."""

    decision_id: DecisionId
    review_id: ReviewId
    version: Annotated[Version, Meta(description="Version of the review that the reviewer saw.")]
    evidence_id: EvidenceId
    detainer_id: DetainerId
    episode_id: EpisodeId
    decision: Decision
    reason: Text
    reviewer: ShortText
    decided_at: Instant
