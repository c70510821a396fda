"""Notices: what an agency is told (the webhook's body), and what became of it (notices.v1)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from contracts.types.common import Code, Contract, Instant, ShortText, Version
from contracts.types.conflict import (
    Alert,
    ConflictDetainer,
    ConflictEpisode,
    ConflictId,
    Identity,
    Release,
    RetractionReason,
    Stage,
)

__all__ = ["Channel", "Notice", "NoticeData", "NoticeEvent", "NoticeOutcome", "NoticeStatus", "Ping", "PingData"]

NoticeId = Annotated[str, Meta(pattern=r"^ntc_[a-z2-7]{24}\Z")]


class NoticeData(Contract, kw_only=True, frozen=True):
    """NIEM j:SubjectReleaseNotification. No name: the agency knows the person by its own reference.

    `advice` is always there: a notice is a prompt to check, never a ground to hold anybody.
    """

    notice_id: NoticeId
    conflict_id: ConflictId
    version: Version
    stage: Stage
    recipient: Code
    detainer: ConflictDetainer
    episode: ConflictEpisode
    identity: Identity
    advice: ShortText
    decided_at: Instant
    previous_stage: Stage | None = None
    release: Release | None = None
    retraction: RetractionReason | None = None
    alerts: list[Alert] = []
    hold_until: Instant | None = None


class Notice(Contract, kw_only=True, frozen=True):
    """The body of a webhook, in the shape of Standard Webhooks: type, timestamp, data."""

    type: Annotated[str, Meta(pattern=r"^notice\.[a-z_]+\Z", description="`notice.` and the stage.")]
    timestamp: Instant
    data: NoticeData


class PingData(Contract, kw_only=True, frozen=True):
    """Which subscription is tried."""

    subscription_id: Annotated[str, Meta(min_length=1, max_length=64)]


class Ping(Contract, kw_only=True, frozen=True):
    """A test of a subscription, signed and sent as a notice is. It tells of no person and no conflict."""

    type: Literal["notice.ping"]
    timestamp: Instant
    data: PingData


class Channel(StrEnum):
    WEBHOOK = "webhook"
    EMAIL = "email"


class NoticeOutcome(StrEnum):
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    EXPIRED = "expired"


class NoticeStatus(StrEnum):
    """The state of a notice as its recipient sees it. NO_SUBSCRIPTION: kept, and to be read by GET, but not sent."""

    PENDING = "pending"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    NO_SUBSCRIPTION = "no_subscription"


class NoticeEvent(Contract, kw_only=True, frozen=True):
    """What became of a notice, for whoever wants to know. Carries no personal data."""

    notice_id: NoticeId
    conflict_id: ConflictId
    version: Version
    stage: Stage
    recipient: Code
    outcome: NoticeOutcome
    at: Instant
    delivery_id: Annotated[str, Meta(pattern=r"^dlv_[a-z2-7]{24}\Z")] | None = None
    channel: Channel | None = None
    attempts: Annotated[int, Meta(ge=0)] | None = None
    acknowledgement: Literal["received", "will_pick_up", "declined"] | None = None
