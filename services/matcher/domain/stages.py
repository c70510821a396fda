"""Where the conflict of one (detainer, custody episode) pair stands: a pure function of the two sides.

Nothing here looks at what was published before. The fold compares what is derived with what was published last,
and that alone makes versions; so whatever the order of inputs, the same facts end in the same stage (G2).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from contracts.types.common import Tier
from contracts.types.conflict import CustodyStatus, Release, RetractionReason, Stage
from contracts.types.custody import Released
from contracts.types.detainer import Detainer, DetainerState
from services.matcher.domain.episode import EpisodeView

__all__ = ["NOTIFIABLE", "Standing", "derive", "facts_corrected", "identity_lost"]

NOTIFIABLE = frozenset({Tier.CONFIRMED, Tier.PROBABLE})
"""Tiers that are good enough for a notice; POSSIBLE goes to a person (DESIGN.md, "Identity")."""

_OPEN = frozenset({DetainerState.RECEIVED, DetainerState.ACTIVE})
_RETRACTIONS = {
    DetainerState.LIFTED: RetractionReason.DETAINER_LIFTED,
    DetainerState.WITHDRAWN: RetractionReason.DETAINER_WITHDRAWN,
}


class Standing(Struct, frozen=True, omit_defaults=True):
    """What a conflict says. Two equal standings are one version; a different one is a new version.

    escaped is in it since an agency has to hear of it; a trip to court is not, since it changes nothing for them.
    """

    stage: Stage
    release: Release | None = None
    retraction: RetractionReason | None = None
    closed_because: str | None = None
    custody_assumed_at: datetime | None = None
    escaped: bool = False


def derive(view: EpisodeView, detainer: Detainer, look_back: timedelta) -> Standing | None:
    """The standing of the pair, given that both are one person; None: nothing to tell.

    look_back: a release is told to a detainer lodged at most so long after it (rule 11).
    """
    if view.voided:
        return _retracted(RetractionReason.BOOKING_VOIDED)
    if view.person is None:
        return None
    over = None if detainer.state in _OPEN else (detainer.ended_at or detainer.occurred_at)
    ended_at = view.ended_at
    if over is not None and (view.booked_at or view.first_at) > over:
        return None  # a later admission is no business of a detainer that had ended (rule 17)
    if ended_at is not None and detainer.lodged_at - ended_at > look_back:
        return None
    closed = _closed(view, detainer)
    if closed is not None:
        return closed
    if over is not None:
        return _retracted(_RETRACTIONS.get(detainer.state, RetractionReason.DETAINER_ENDED))
    escaped = view.status is CustodyStatus.ESCAPED
    if ended_at is None:
        if view.scheduled is not None and view.scheduled.released_to != detainer.agency:
            return Standing(stage=Stage.RELEASE_SCHEDULED, release=view.release(), escaped=escaped)
        return Standing(stage=Stage.IN_CUSTODY, escaped=escaped)
    if view.status is CustodyStatus.TRANSFERRED:
        return Standing(stage=Stage.TRANSFERRED, release=view.release()) if detainer.lodged_at <= ended_at else None
    if view.status is CustodyStatus.DIED:
        return None  # died before the detainer was lodged; after it, the pair is closed above
    if detainer.lodged_at <= ended_at:
        return Standing(stage=Stage.RELEASED, release=view.release())
    if _handed_over(view, detainer):
        return None
    return Standing(stage=Stage.RELEASED_BEFORE_DETAINER, release=view.release())


def facts_corrected() -> Standing:
    """The standing of a pair that was told, and by corrected facts never was a conflict (rule 8)."""
    return _retracted(RetractionReason.CUSTODY_CORRECTED)


def _handed_over(view: EpisodeView, detainer: Detainer) -> bool:
    return isinstance(view.ended, Released) and view.ended.released_to == detainer.agency


def _closed(view: EpisodeView, detainer: Detainer) -> Standing | None:
    """The ends that are no conflict: the agency has the person, or the person died.

    What ended the pair first counts: a detainer lifted after the hand-over does not take the hand-over back.
    """
    ended_at = view.ended_at
    still_wanted = ended_at is not None and (
        detainer.state in _OPEN
        or detainer.state is DetainerState.CUSTODY_ASSUMED
        or ended_at <= (detainer.ended_at or detainer.occurred_at)
    )
    if still_wanted and ended_at is not None and detainer.lodged_at <= ended_at:
        if _handed_over(view, detainer):
            return Standing(stage=Stage.CLOSED, release=view.release(), closed_because="handed_over")
        if view.status is CustodyStatus.DIED:
            return Standing(stage=Stage.CLOSED, release=view.release(), closed_because="died")
    if detainer.state is DetainerState.CUSTODY_ASSUMED:
        at = detainer.ended_at or detainer.occurred_at
        return Standing(
            stage=Stage.CLOSED, release=view.release(), closed_because="custody_assumed", custody_assumed_at=at
        )
    return None


def _retracted(reason: RetractionReason) -> Standing:
    return Standing(stage=Stage.RETRACTED, retraction=reason)


def identity_lost() -> Standing:
    """The standing of a pair that turned out not to be one person, or not surely enough (G6)."""
    return _retracted(RetractionReason.IDENTITY_CHANGED)
