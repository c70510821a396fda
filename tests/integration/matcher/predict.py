"""Which versions the matcher must publish of one pair: worked out from docs/lifecycle.md, without the matcher.

For detainers lodged before anything happened, on people whose fingerprints agree, and with nothing that time alone
brings about. The events of a booking are taken in the order in which they come; after each, all of them so far are
looked at from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.types.conflict import RetractionReason, Stage
from contracts.types.custody import (
    Booked,
    CustodyEvent,
    Died,
    Escaped,
    HeldElsewhere,
    ReleaseCancelled,
    Released,
    ReleaseReason,
    ReleaseScheduled,
    Returned,
    Transferred,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState

__all__ = ["Arrival", "Told", "predict"]


@dataclass(frozen=True)
class Arrival:
    """A custody event as it is sent, under its id. All events of a booking are of one source."""

    event_id: str
    event: CustodyEvent


@dataclass(frozen=True)
class Told:
    """What a version says. escaped: only where the person is still in custody on paper."""

    stage: Stage
    retraction: RetractionReason | None = None
    closed_because: str | None = None
    escaped: bool = False
    scheduled_for: datetime | None = None
    released_at: datetime | None = None
    reason: ReleaseReason | None = None
    released_to: str | None = None
    inferred: bool = False
    to_facility: str | None = None


_RETRACTED_BY = {
    DetainerState.LIFTED: RetractionReason.DETAINER_LIFTED,
    DetainerState.WITHDRAWN: RetractionReason.DETAINER_WITHDRAWN,
}


def predict(arrivals: Sequence[Arrival], first: Detainer, last: Detainer) -> list[Told]:
    """The versions of the pair, in order. first: the detainer while the events come; last: what becomes of it at the
    end, once all have been judged."""
    versions: list[Told] = []
    for count in range(1, len(arrivals) + 1):
        _follow(versions, _standing(arrivals[:count], first))
    _follow(versions, _standing(arrivals, last))
    return versions


def _follow(versions: list[Told], now: Told | None) -> None:
    """Add a version where there is something else to say than before."""
    before = versions[-1] if versions else None
    untold = before is None or before.stage is Stage.RETRACTED
    if now is None:
        if untold:
            return
        now = Told(Stage.RETRACTED, retraction=RetractionReason.CUSTODY_CORRECTED)
    if now == before or (before is None and now.stage is Stage.RETRACTED):
        return
    versions.append(now)


def _facts(arrivals: Sequence[Arrival]) -> tuple[list[CustodyEvent], bool]:
    """What is left of the events, by when they happened; and whether a booking is among those taken back."""
    newest: dict[str, CustodyEvent] = {}
    for arrival in arrivals:
        known = newest.get(arrival.event_id)
        if known is None or _when(arrival.event) > _when(known):
            newest[arrival.event_id] = arrival.event
    gone: set[str] = set()
    for name, event in sorted(newest.items(), key=lambda item: _when(item[1]), reverse=True):
        if isinstance(event, Voided) and name not in gone:
            gone.add(event.voids_event)
    left = sorted((event for name, event in newest.items() if name not in gone), key=_when)
    return left, any(isinstance(event, Booked) for name, event in newest.items() if name in gone)


def _when(event: CustodyEvent) -> tuple[datetime, int]:
    return (event.occurred_at, event.sequence)


def _standing(arrivals: Sequence[Arrival], detainer: Detainer) -> Told | None:
    facts, a_booking_was_voided = _facts(arrivals)
    if not any(isinstance(event, Booked) for event in facts):
        return Told(Stage.RETRACTED, retraction=RetractionReason.BOOKING_VOIDED) if a_booking_was_voided else None
    scheduled: ReleaseScheduled | None = None
    ended: Released | Transferred | Died | None = None
    escaped = False
    for event in facts:
        if isinstance(ended, Died):
            break
        match event:
            case ReleaseScheduled():
                scheduled = event
            case ReleaseCancelled():
                scheduled = None
            case Released(inferred=True) if ended is None:
                ended = event  # and what was scheduled is still to come, should they be back
            case Released(inferred=False) | Transferred() | Died():
                ended, scheduled = event, None
            case Escaped():
                escaped = True
            case Returned():
                ended, escaped = None, False
            case HeldElsewhere():
                escaped = False
    over = detainer.state is not DetainerState.ACTIVE
    if isinstance(ended, Released) and ended.released_to == detainer.agency:
        return _end(ended, Stage.CLOSED, "handed_over")
    if isinstance(ended, Died):
        return _end(ended, Stage.CLOSED, "died")
    if detainer.state is DetainerState.CUSTODY_ASSUMED:
        if ended is not None:
            return _end(ended, Stage.CLOSED, "custody_assumed")
        return _plan(scheduled, Stage.CLOSED, "custody_assumed")
    if over:
        return Told(Stage.RETRACTED, retraction=_RETRACTED_BY[detainer.state])
    if ended is None:
        if scheduled is None or scheduled.released_to == detainer.agency:
            return Told(Stage.IN_CUSTODY, escaped=escaped)
        return _plan(scheduled, Stage.RELEASE_SCHEDULED, escaped=escaped)
    return _end(ended, Stage.TRANSFERRED if isinstance(ended, Transferred) else Stage.RELEASED)


def _end(ended: Released | Transferred | Died, stage: Stage, because: str | None = None) -> Told:
    match ended:
        case Released():
            return Told(
                stage,
                closed_because=because,
                released_at=ended.occurred_at,
                reason=ended.reason,
                released_to=ended.released_to,
                inferred=ended.inferred,
            )
        case Transferred():
            return Told(stage, closed_because=because, released_at=ended.occurred_at, to_facility=ended.to_facility)
        case Died():
            return Told(stage, closed_because=because, released_at=ended.occurred_at)


def _plan(scheduled: ReleaseScheduled | None, stage: Stage, because: str | None = None, escaped: bool = False) -> Told:
    if scheduled is None:
        return Told(stage, closed_because=because, escaped=escaped)
    return Told(
        stage,
        closed_because=because,
        escaped=escaped,
        scheduled_for=scheduled.scheduled_for,
        reason=scheduled.reason,
        released_to=scheduled.released_to,
    )
