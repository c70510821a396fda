"""Reviews of synthetic people, as the matcher writes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from contracts.ids import conflict_id, detainer_id, episode_id, review_id
from contracts.types.common import Tier
from contracts.types.conflict import (
    Cause,
    ConflictDetainer,
    Evidence,
    Identity,
    Review,
    ReviewSide,
    ReviewStatus,
    Stage,
)
from contracts.types.detainer import DetainerType, Intent
from contracts.types.person import Person, PersonName
from tests.unit.notifier.conflicts import AGENCY, JAIL, NOW

__all__ = ["review"]


def review(
    number: int = 1, version: int = 1, status: ReviewStatus = ReviewStatus.OPEN, *, at: datetime | None = None
) -> Review:
    """Version `version` of the review of detainer and booking `number`, made so many minutes after NOW."""
    detainer, episode = detainer_id(AGENCY, f"REF-{number}"), episode_id(JAIL, f"BOOK-{number}")
    decided_at = at or NOW + timedelta(minutes=number)

    def side(record: str, where: str, **more: Any) -> ReviewSide:
        person = Person(names=[PersonName(surname="Exampleson", given=f"Inaki{number}")], birth_dates=["1987-03-14"])
        return ReviewSide(record=record, where=where, person=msgspec.structs.replace(person, **more))

    return Review(
        review_id=review_id(detainer, episode),
        version=version,
        status=status,
        conflict_id=conflict_id(detainer, episode),
        stage=Stage.IN_CUSTODY,
        detainer=ConflictDetainer(
            detainer_id=detainer,
            agency=AGENCY,
            agency_reference=f"REF-{number}",
            type=DetainerType.IN_STATE_WARRANT,
            intent=Intent.HOLD,
            lodged_at=NOW,
        ),
        detainer_side=side(detainer, AGENCY),
        custody_side=side(episode, JAIL, birth_dates=["1987-03-15"]),
        identity=Identity(
            tier=Tier.POSSIBLE, model="test", evidence=[Evidence(field="birth_date", outcome="typing_error", bits=4.0)]
        ),
        evidence_id=f"{number:016x}{version:016x}",
        cause=Cause(kind="booked", source="test-jms", event_id=f"ev-{number}", occurred_at=NOW, accepted_at=NOW),
        decided_at=decided_at,
    )
