"""Where the conflict of one (detainer, custody episode) pair stands: a pure function of the two sides and of the time.

Nothing here looks at what was published before. The fold compares what is derived with what was published last, and
that alone makes versions; so whatever the order of inputs, the same facts end in the same stage (G2). docs/lifecycle.md
is the specification; its numbers are cited below.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from msgspec import Struct

from contracts.types.common import Tier
from contracts.types.conflict import Alert, CustodyStatus, Release, RetractionReason, Stage
from contracts.types.custody import Released
from contracts.types.detainer import Detainer, DetainerState, DetainerType, Intent
from services.matcher.domain.episode import EpisodeView
from services.matcher.domain.holds import hold_until
from services.matcher.domain.terms import Terms

__all__ = ["NOTIFIABLE", "OPEN", "Standing", "Verdict", "derive", "retracted"]

NOTIFIABLE = frozenset({Tier.CONFIRMED, Tier.PROBABLE})
"""Tiers that are good enough for a notice; POSSIBLE goes to a person (DESIGN.md, "Identity")."""

OPEN = frozenset({DetainerState.RECEIVED, DetainerState.ACTIVE})
"""States in which a detainer is wanted, until it lapses."""

_RETRACTIONS = {
    DetainerState.LIFTED: RetractionReason.DETAINER_LIFTED,
    DetainerState.WITHDRAWN: RetractionReason.DETAINER_WITHDRAWN,
    DetainerState.DECLINED: RetractionReason.DETAINER_DECLINED,
    DetainerState.SUPERSEDED: RetractionReason.DETAINER_SUPERSEDED,
    DetainerState.EXPIRED: RetractionReason.DETAINER_EXPIRED,
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
    alerts: list[Alert] = []
    hold_until: datetime | None = None


class Verdict(Struct, frozen=True):
    """standing: None where there is nothing to tell. again_at: when time alone may make it another; None: never."""

    standing: Standing | None
    again_at: datetime | None


class _Timers:
    """Which instants have come, and the earliest that has not."""

    def __init__(self, now: datetime, settle: timedelta) -> None:
        self._now = now
        self._settle = settle
        self.next: datetime | None = None

    def due(self, at: datetime, accepted_at: datetime) -> bool:
        """Whether `at` has come, and the fact that it rests on has settled (docs/lifecycle.md, "Settings")."""
        when = max(at, accepted_at + self._settle)
        if when <= self._now:
            return True
        if self.next is None or when < self.next:
            self.next = when
        return False


def derive(view: EpisodeView, detainer: Detainer, terms: Terms, zone: tzinfo, now: datetime) -> Verdict:
    """The standing of the pair at `now`, given that both are one person. zone: the facility's."""
    timers = _Timers(now, terms.settle)
    return Verdict(_derive(view, detainer, terms, zone, timers), timers.next)


def _derive(view: EpisodeView, detainer: Detainer, terms: Terms, zone: tzinfo, timers: _Timers) -> Standing | None:
    if view.voided:
        return retracted(RetractionReason.BOOKING_VOIDED)  # 1
    if view.person is None:
        return None  # 2
    state, over = _end_of(detainer, timers)
    ended_at = view.ended_at
    if over is not None and (view.booked_at or view.first_at) > over:
        return None  # 3
    if ended_at is not None and detainer.lodged_at - ended_at > terms.look_back:
        return None  # 4
    closed = _closed(view, detainer, state, over)
    if closed is not None:
        return closed  # 5, 6
    left_before = state is DetainerState.EXPIRED and ended_at is not None and over is not None and ended_at <= over
    if over is not None and not left_before:
        return retracted(_RETRACTIONS.get(state, RetractionReason.DETAINER_ENDED))  # 7
    if ended_at is None:
        return _in_custody(view, detainer, terms, zone, timers)  # 8
    if view.status is CustodyStatus.TRANSFERRED:
        if detainer.lodged_at > ended_at:
            return None
        return Standing(stage=Stage.TRANSFERRED, release=view.release())  # 9
    if view.status is CustodyStatus.DIED:
        return None  # 10
    if detainer.lodged_at > ended_at and _handed_over(view, detainer):
        return None  # 12
    stage = Stage.RELEASED if detainer.lodged_at <= ended_at else Stage.RELEASED_BEFORE_DETAINER
    return Standing(stage=stage, release=view.release(_inferred_stands(view, terms, timers)))  # 11, 12


def _end_of(detainer: Detainer, timers: _Timers) -> tuple[DetainerState, datetime | None]:
    """The state that counts, and since when the detainer is over; None while it is open."""
    if detainer.state not in OPEN:
        return detainer.state, detainer.ended_at or detainer.occurred_at
    if detainer.expires_at is not None and timers.due(detainer.expires_at, detainer.accepted_at):
        return DetainerState.EXPIRED, detainer.expires_at
    return detainer.state, None


def _in_custody(view: EpisodeView, detainer: Detainer, terms: Terms, zone: tzinfo, timers: _Timers) -> Standing:
    escaped = view.status is CustodyStatus.ESCAPED
    alerts: list[Alert] = []
    until: datetime | None = None
    scheduled = view.scheduled
    expired = False
    if scheduled is not None and not escaped:
        accepted_at = view.scheduled_accepted_at or scheduled.occurred_at
        if detainer.type is DetainerType.IMMIGRATION and detainer.intent is Intent.HOLD:
            until = hold_until(scheduled.scheduled_for, zone, terms.hold)
            expired = timers.due(until, accepted_at)
        elif timers.due(scheduled.scheduled_for + terms.over_detention, accepted_at):
            alerts.append(Alert.OVER_DETENTION)
    if detainer.expires_at is not None and timers.due(detainer.expires_at - terms.expiry_warning, detainer.accepted_at):
        alerts.append(Alert.DETAINER_EXPIRES)
    if expired:
        return Standing(stage=Stage.HOLD_EXPIRED, release=view.release(), alerts=alerts, hold_until=until)
    if scheduled is not None and scheduled.released_to != detainer.agency:
        return Standing(
            stage=Stage.RELEASE_SCHEDULED, release=view.release(), escaped=escaped, alerts=alerts, hold_until=until
        )
    return Standing(stage=Stage.IN_CUSTODY, escaped=escaped, alerts=alerts)


def _inferred_stands(view: EpisodeView, terms: Terms, timers: _Timers) -> bool:
    ended = view.ended
    if not isinstance(ended, Released) or not ended.inferred:
        return False
    return timers.due(ended.occurred_at + terms.inferred_stands, view.ended_accepted_at or ended.occurred_at)


def _handed_over(view: EpisodeView, detainer: Detainer) -> bool:
    return isinstance(view.ended, Released) and view.ended.released_to == detainer.agency


def _closed(view: EpisodeView, detainer: Detainer, state: DetainerState, over: datetime | None) -> Standing | None:
    """The ends that are no conflict: the agency has the person, or the person died.

    What ended the pair first counts: a detainer lifted after the hand-over does not take the hand-over back.
    """
    ended_at = view.ended_at
    if ended_at is not None and (over is None or ended_at <= over) and detainer.lodged_at <= ended_at:
        if _handed_over(view, detainer):
            return Standing(stage=Stage.CLOSED, release=view.release(), closed_because="handed_over")
        if view.status is CustodyStatus.DIED:
            return Standing(stage=Stage.CLOSED, release=view.release(), closed_because="died")
    if state is DetainerState.CUSTODY_ASSUMED:
        return Standing(
            stage=Stage.CLOSED, release=view.release(), closed_because="custody_assumed", custody_assumed_at=over
        )
    return None


def retracted(reason: RetractionReason) -> Standing:
    """The standing of a pair whose ground has gone (G6)."""
    return Standing(stage=Stage.RETRACTED, retraction=reason)
