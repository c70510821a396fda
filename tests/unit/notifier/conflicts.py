"""Conflict versions of synthetic people, as the matcher writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from contracts.ids import conflict_id, detainer_id, episode_id
from contracts.types.common import Tier
from contracts.types.conflict import (
    Alert,
    Cause,
    Conflict,
    ConflictDetainer,
    ConflictEpisode,
    CustodyStatus,
    Decision,
    Identity,
    Release,
    RetractionReason,
    Stage,
)
from contracts.types.detainer import DetainerType, Intent

__all__ = ["AGENCY", "JAIL", "NOW", "OTHER", "conflict"]

AGENCY, OTHER = "MATST0001", "MATST0002"
JAIL = "TSTJAIL01"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def conflict(
    number: int = 1,
    version: int = 1,
    stage: Stage = Stage.RELEASED,
    *,
    agency: str = AGENCY,
    tier: Tier = Tier.CONFIRMED,
    decided_at: datetime = NOW,
    alerts: Sequence[Alert] = (),
    reviewed: Decision | None = None,
    facility: str = JAIL,
) -> Conflict:
    """Version `version` of the conflict of detainer and booking `number`."""
    detainer, episode = detainer_id(agency, f"REF-{number}"), episode_id(facility, f"BOOK-{number}")
    return Conflict(
        conflict_id=conflict_id(detainer, episode),
        version=version,
        stage=stage,
        detainer=ConflictDetainer(
            detainer_id=detainer,
            agency=agency,
            agency_reference=f"REF-{number}",
            type=DetainerType.IN_STATE_WARRANT,
            intent=Intent.HOLD,
            lodged_at=decided_at - timedelta(days=1),
        ),
        episode=ConflictEpisode(
            episode_id=episode,
            facility=facility,
            booking_number=f"BOOK-{number}",
            custody_status=CustodyStatus.RELEASED if stage is Stage.RELEASED else CustodyStatus.IN_CUSTODY,
        ),
        identity=Identity(tier=tier, model="test", reviewed=reviewed),
        release=Release(released_at=decided_at) if stage is Stage.RELEASED else None,
        retraction=RetractionReason.BOOKING_VOIDED if stage is Stage.RETRACTED else None,
        cause=Cause(
            kind="released", source="test-jms", event_id=f"ev-{number}", occurred_at=decided_at, accepted_at=decided_at
        ),
        decided_at=decided_at,
        alerts=list(alerts),
        hold_until=decided_at if stage is Stage.HOLD_EXPIRED else None,
    )
