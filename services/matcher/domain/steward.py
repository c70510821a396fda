"""What the steward of a facility's feed does: stop it when it releases too many (rule 19), and say when it is silent.

A facility's bookings are spread over all partitions; one of them sums up what all count and judges (docs/adr/0014).
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from contracts.ids import breaker_id
from contracts.types.feed import Breaker, BreakerState, FeedState, FeedStatus
from services.matcher.domain.feeds.breaker import judge
from services.matcher.domain.feeds.rhythm import Rhythm
from services.matcher.domain.partition import PartitionState, Watch

__all__ = ["FeedOutputs", "feed_counted", "feed_timer"]


class FeedOutputs(Struct):
    """breakers that tripped, feeds that fell silent or are heard again, facilities whose watch has to be written."""

    breakers: list[Breaker] = []
    statuses: list[FeedStatus] = []
    watched: set[str] = set()


def feed_counted(state: PartitionState, facility: str, now: datetime) -> FeedOutputs:
    """Some partition has counted the facility anew."""
    out = FeedOutputs()
    if not state.is_steward(facility):
        return out
    breaker = _tripped(state, facility, now)
    if breaker is not None:
        state.tripped.setdefault(facility, []).append(breaker)
        out.breakers.append(breaker)
    heard_at = state.ground.feeds.heard_at(facility)
    watch = state.watched.setdefault(facility, Watch(Rhythm()))
    if heard_at is not None and watch.rhythm.heard(min(heard_at, state.clock), state.ground.feed_terms):
        out.watched.add(facility)
        if watch.silent:
            watch.silent = False
            out.statuses.append(_status(facility, watch, FeedState.HEARD, now))
    _set_timer(state, facility, watch)
    return out


def feed_timer(state: PartitionState, facility: str, now: datetime) -> FeedOutputs:
    """It may be time to call the facility silent."""
    out = FeedOutputs()
    watch = state.watched.get(facility)
    if watch is None or watch.silent or not state.is_steward(facility):
        return out
    due = _set_timer(state, facility, watch)
    if due is not None and due <= now:
        watch.silent = True
        state.timers.set(("", facility), None)
        out.watched.add(facility)
        out.statuses.append(_status(facility, watch, FeedState.SILENT, now))
    return out


def _tripped(state: PartitionState, facility: str, now: datetime) -> Breaker | None:
    ground = state.ground
    known = ground.breakers.of(facility)
    ids = {breaker.breaker_id for breaker in known}
    # One that was declared here counts at once; it comes back by breakers.v1 a moment later.
    mine = state.tripped[facility] = [b for b in state.tripped.get(facility, ()) if b.breaker_id not in ids]
    trip = judge(ground.feeds.tallies(facility), ground.feed_terms, [*known, *mine])
    if trip is None:
        return None
    return Breaker(
        breaker_id=breaker_id(facility, trip.since.isoformat(), len(known) + len(mine)),
        facility=facility,
        state=BreakerState.TRIPPED,
        since=trip.since,
        tripped_at=now,
        releases=trip.releases,
        population=trip.population,
        window_s=ground.feed_terms.window.total_seconds(),
    )


def _set_timer(state: PartitionState, facility: str, watch: Watch) -> datetime | None:
    """Not before the partition has had time to read what came while nobody owned it."""
    silent_at = watch.rhythm.silent_at(state.ground.feed_terms)
    due = None if silent_at is None else max(silent_at, state.began + state.ground.terms.settle)
    state.timers.set(("", facility), due)
    return due


def _status(facility: str, watch: Watch, feed_state: FeedState, now: datetime) -> FeedStatus:
    usual = watch.rhythm.usual_gap()
    assert watch.rhythm.heard_at is not None
    return FeedStatus(
        facility=facility,
        state=feed_state,
        last_heard_at=watch.rhythm.heard_at,
        usual_gap_s=usual.total_seconds() if usual is not None else 0.0,
        at=now,
    )
