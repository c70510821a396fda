"""What stands between a detainer and an episode, if both are one person (docs/lifecycle.md, "The standing")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from contracts.types.common import Tier
from contracts.types.conflict import Alert, CustodyStatus, RetractionReason, Stage
from contracts.types.custody import Released, ReleaseReason, ReleaseScheduled
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from tests.simulation.truth_calendar import hold_ends
from tests.simulation.truth_episode import Episode

__all__ = ["DEFAULT_TERMS", "Expected", "Terms", "standing"]


@dataclass(frozen=True)
class Terms:
    """Settings of docs/lifecycle.md."""

    look_back_days: float = 30
    hold_hours: float = 48
    over_detention_hours: float = 24
    expiry_warning_days: float = 7
    inferred_stands_hours: float = 26
    settle_minutes: float = 15


DEFAULT_TERMS: Final = Terms()


@dataclass(frozen=True)
class Expected:
    """What the last version says of a pair that stands. Fields of a release are set where the stage speaks of one.

    tier: that it is told with; reviewed: whether a reviewer's confirmation is why.
    """

    stage: Stage
    tier: Tier = Tier.CONFIRMED
    reviewed: bool = False
    closed_because: str | None = None
    alerts: frozenset[Alert] = frozenset()
    hold_until: datetime | None = None
    escaped: bool = False
    scheduled_for: datetime | None = None
    released_at: datetime | None = None
    reason: ReleaseReason | None = None
    released_to: str | None = None
    inferred: bool = False
    inferred_stands: bool = False
    to_facility: str | None = None


def standing(
    detainer: Detainer, episode: Episode, zone: str, now: datetime, terms: Terms
) -> Expected | RetractionReason | None:
    """What stands if both are one person ("The standing"); None: nothing."""

    def due(instant: datetime, rests_on: datetime) -> bool:
        return now >= max(instant, rests_on + timedelta(minutes=terms.settle_minutes))

    ended = episode.ended
    lodged = detainer.lodged_at
    open_state = detainer.state in (DetainerState.RECEIVED, DetainerState.ACTIVE)
    lapsed = open_state and detainer.expires_at is not None and due(detainer.expires_at, detainer.accepted_at)
    over_from: datetime | None = None
    if not open_state:
        over_from = detainer.ended_at or detainer.occurred_at
    elif lapsed:
        over_from = detainer.expires_at
    to_agency = ended is not None and isinstance(ended.event, Released) and ended.event.released_to == detainer.agency

    if episode.voided:  # 1
        return RetractionReason.BOOKING_VOIDED
    if episode.person is None or episode.admitted_at is None:  # 2
        return None
    if over_from is not None and episode.admitted_at > over_from:  # 3
        return None
    ended_at = ended.event.occurred_at if ended is not None else None
    if ended_at is not None and lodged > ended_at + timedelta(days=terms.look_back_days):  # 4
        return None
    if ended_at is not None and ended_at >= lodged and (over_from is None or ended_at <= over_from):  # 5
        if to_agency:
            return Expected(Stage.CLOSED, closed_because="handed_over")
        if episode.status is CustodyStatus.DIED:
            return Expected(Stage.CLOSED, closed_because="died")
    if detainer.state is DetainerState.CUSTODY_ASSUMED:  # 6
        return Expected(Stage.CLOSED, closed_because="custody_assumed")
    if over_from is not None and not (lapsed and ended_at is not None and over_from >= ended_at):  # 7
        return _REASONS.get(DetainerState.EXPIRED if lapsed else detainer.state, RetractionReason.DETAINER_ENDED)
    if ended is None:  # 8
        return _held(detainer, episode, zone, due, terms)
    assert ended_at is not None
    event = ended.event
    told = Expected(
        Stage.RELEASED,
        released_at=ended_at,
        reason=event.reason if isinstance(event, Released) else None,
        released_to=event.released_to if isinstance(event, Released) else None,
        to_facility=getattr(event, "to_facility", None),
    )
    if episode.status is CustodyStatus.TRANSFERRED:  # 9
        return replace(told, stage=Stage.TRANSFERRED) if lodged <= ended_at else None
    if episode.status is CustodyStatus.DIED:  # 10
        return None
    if episode.status is CustodyStatus.INFERRED_RELEASE:
        stands = due(ended_at + timedelta(hours=terms.inferred_stands_hours), ended.accepted_at)
        told = replace(told, inferred=True, inferred_stands=stands)
    if lodged <= ended_at:  # 11
        return told
    return None if to_agency else replace(told, stage=Stage.RELEASED_BEFORE_DETAINER)  # 12


def _held(
    detainer: Detainer, episode: Episode, zone: str, due: Callable[[datetime, datetime], bool], terms: Terms
) -> Expected:
    """Rule 8, and what comes with it."""
    escaped = episode.status is CustodyStatus.ESCAPED
    stage = Stage.IN_CUSTODY
    alerts: set[Alert] = set()
    hold_until = scheduled_for = reason = released_to = None
    if detainer.expires_at is not None:
        warn_at = detainer.expires_at - timedelta(days=terms.expiry_warning_days)
        if due(warn_at, detainer.accepted_at):
            alerts.add(Alert.DETAINER_EXPIRES)
    plan = episode.scheduled
    if plan is not None and isinstance(plan.event, ReleaseScheduled):
        has_hold = detainer.type is DetainerType.IMMIGRATION and detainer.intent is Intent.HOLD and not escaped
        limit = hold_ends(plan.event.scheduled_for, terms.hold_hours, zone)
        over_at = plan.event.scheduled_for + timedelta(hours=terms.over_detention_hours)
        if has_hold and due(limit, plan.accepted_at):
            stage = Stage.HOLD_EXPIRED
        elif plan.event.released_to != detainer.agency:
            stage = Stage.RELEASE_SCHEDULED
        if not has_hold and not escaped and due(over_at, plan.accepted_at):
            alerts.add(Alert.OVER_DETENTION)
        if stage is not Stage.IN_CUSTODY:
            hold_until = limit if has_hold else None
            scheduled_for, reason, released_to = plan.event.scheduled_for, plan.event.reason, plan.event.released_to
    return Expected(
        stage,
        alerts=frozenset(alerts),
        hold_until=hold_until,
        escaped=escaped,
        scheduled_for=scheduled_for,
        reason=reason,
        released_to=released_to,
    )


_REASONS = {
    DetainerState.LIFTED: RetractionReason.DETAINER_LIFTED,
    DetainerState.WITHDRAWN: RetractionReason.DETAINER_WITHDRAWN,
    DetainerState.DECLINED: RetractionReason.DETAINER_DECLINED,
    DetainerState.SUPERSEDED: RetractionReason.DETAINER_SUPERSEDED,
    DetainerState.EXPIRED: RetractionReason.DETAINER_EXPIRED,
}
