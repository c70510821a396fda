"""The fold of one partition: `evolve(state, input, now) -> outputs`, deterministic and pure but for `state` itself.

An input is a custody fact, a detainer, a review decision or a breaker that changed, a facility that was counted anew or
is in another time zone, a timer that has run out, or an episode that another identity model judged (docs/adr/0011). Any
may come first (DESIGN.md, "The join"): a fact is judged against the book of detainers, a detainer against the episodes
of the partition.
docs/lifecycle.md is the specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from contracts.types.conflict import Cause, Conflict, Review, ReviewStatus, Stage
from contracts.types.detainer import Detainer
from contracts.types.feed import Breaker, FeedStatus
from services.matcher.domain.episode import Episode
from services.matcher.domain.hits import evidence_id, identify, meet
from services.matcher.domain.inputs import (
    BreakerInput,
    CustodyInput,
    DecisionInput,
    DetainerInput,
    FeedInput,
    Input,
    ModelInput,
    PlaceInput,
    Tick,
)
from services.matcher.domain.partition import BEGINNING, NOBODY, Pair, PartitionState
from services.matcher.domain.stages import OPEN
from services.matcher.domain.steward import FeedOutputs, feed_counted, feed_timer
from services.matcher.domain.telling import Occasion, next_conflict, next_review
from services.matcher.domain.waiting import derived, waiting

__all__ = ["EPISODE_CLOSED", "EPISODE_TOO_LARGE", "REFUSALS", "Outputs", "evolve"]

OWN_SOURCE: Final = "sallyport/matcher"
"""Source of a cause that came from no jail and no agency."""
EPISODE_CLOSED: Final = "episode_closed"
EPISODE_TOO_LARGE: Final = "episode_too_large"
REFUSALS: Final[Mapping[str, str]] = {
    EPISODE_CLOSED: "the episode ended long ago and has been put away",
    EPISODE_TOO_LARGE: "the episode has too many facts; only an end, a return or a void is still taken",
}
"""Why a fact is refused, and what is said of it (docs/lifecycle.md, "Put away" and "Too large")."""
_LOOK_AGAIN: Final = timedelta(days=1)


class Outputs(Struct):
    """What an input led to. changed: ids of the episodes whose state has to be written. watched: facilities whose watch
    has to be. refused: why, of REFUSALS, the input is not part of the state, and belongs into rejects.v1 (G1)."""

    conflicts: list[Conflict]
    reviews: list[Review]
    changed: set[str]
    breakers: list[Breaker] = []
    statuses: list[FeedStatus] = []
    watched: set[str] = set()
    refused: str | None = None


def evolve(state: PartitionState, given: Input, now: datetime, clock: datetime | None = None) -> Outputs:
    """Take one input in. `state` is changed in place; whoever calls makes outputs and state durable together.

    now: what the time is, as far as the caller knows. clock: the time by which it is judged, where that is another (a
    backlog is judged by its own); one that is behind the partition's does not count.
    """
    state.clock = max(state.clock, clock or now)
    if state.began is BEGINNING and (clock is None or clock >= now):
        state.began = state.clock
    out = Outputs(conflicts=[], reviews=[], changed=set())
    match given:
        case CustodyInput():
            _custody(state, given, now, out)
        case DetainerInput(detainer_id=detainer_id):
            _detainer(state, detainer_id, now, out)
        case DecisionInput(detainer_id=detainer_id, episode_id=episode_id):
            _decision(state, detainer_id, episode_id, now, out)
        case BreakerInput(facility=facility, breaker_id=breaker_id):
            _breaker(state, facility, breaker_id, now, out)
        case FeedInput(facility=facility):
            _add(out, feed_counted(state, facility, now))
        case ModelInput(episode_id=episode_id):
            _model(state, episode_id, now, out)
        case PlaceInput(facility=facility):
            _place(state, facility, now, out)
        case Tick():
            _tick(state, now, out)
    return out


def _custody(state: PartitionState, given: CustodyInput, now: datetime, out: Outputs) -> None:
    if given.episode_id in state.put_away:
        out.refused = EPISODE_CLOSED
        return
    fact = given.fact
    if fact.accepted_at > state.clock:
        fact = msgspec.structs.replace(fact, taken_at=state.clock)
    before = state.counted(given.episode_id)
    episode = state.episodes.get(given.episode_id)
    if episode is None:
        episode = Episode(fact.event.facility, fact.event.booking_number, given.episode_id)
        state.episodes[episode.id] = episode
    elif not episode.has_room(fact):
        out.refused = EPISODE_TOO_LARGE
        return
    state.tallies.heard(episode.facility, fact.heard_at)
    if not episode.add(fact):
        return
    state.apply_breakers(episode)
    state.count(episode, before)
    out.changed.add(episode.id)
    _identify(state, episode, out)
    cause = Cause(
        kind=str(fact.event.__struct_config__.tag),
        source=fact.source,
        event_id=fact.event_id,
        occurred_at=fact.event.occurred_at,
        accepted_at=fact.accepted_at,
    )
    _judge_all(state, episode, cause, now, out)


def _detainer(state: PartitionState, detainer_id: str, now: datetime, out: Outputs) -> None:
    entry = state.book.get(detainer_id)
    if entry is None:
        return
    cause = _of_detainer(entry.detainer)
    for episode_id in meet(state, entry, out.changed):
        _judge(state, state.episodes[episode_id], detainer_id, cause, now, out)


def _decision(state: PartitionState, detainer_id: str, episode_id: str, now: datetime, out: Outputs) -> None:
    decisions = state.ground.decisions.on(detainer_id, episode_id)
    if not decisions or detainer_id not in state.pairs.get(episode_id, {}):
        return
    newest = max(decisions.values(), key=lambda d: (d.decided_at, d.decision_id))
    cause = Cause(
        kind=f"review_{newest.decision}",
        source="sallyport/notifier",
        event_id=newest.decision_id,
        occurred_at=newest.decided_at,
        accepted_at=newest.decided_at,
    )
    _judge(state, state.episodes[episode_id], detainer_id, cause, now, out)


def _breaker(state: PartitionState, facility: str, breaker_id: str, now: datetime, out: Outputs) -> None:
    """Say what was held back, or take back what never was, of every episode of the facility."""
    cause = _own("breaker", breaker_id, now)
    for episode in _of_facility(state, facility):
        before = state.counted(episode.id)
        if state.apply_breakers(episode):
            state.count(episode, before)
            _identify(state, episode, out)
        _judge_all(state, episode, cause, now, out)


def _place(state: PartitionState, facility: str, now: datetime, out: Outputs) -> None:
    """Count the holds of the facility's episodes by the days of its zone (rule 15)."""
    cause = _own("time_zone", facility, now)
    for episode in _of_facility(state, facility):
        _judge_all(state, episode, cause, now, out)


def _of_facility(state: PartitionState, facility: str) -> list[Episode]:
    return [episode for episode in state.episodes.values() if episode.facility == facility]


def _identify(state: PartitionState, episode: Episode, out: Outputs) -> None:
    """Ask anew whom the episode is of, if that may have changed."""
    person = state.reindex(episode)
    if person is not None:
        identify(state, episode, person, out.changed)


def _model(state: PartitionState, episode_id: str, now: datetime, out: Outputs) -> None:
    """Ask anew, by the model of now, whom the episode is of, and let versions and reviews follow by the usual rules."""
    episode = state.episodes.get(episode_id)
    if episode is None or not state.is_named(episode_id):
        return
    identify(state, episode, state.prepared(episode), out.changed)
    _judge_all(state, episode, _own("identity_model", state.ground.engine.model, now), now, out)


def _tick(state: PartitionState, now: datetime, out: Outputs) -> None:
    key = state.timers.pop(state.clock)
    if key is None:
        return
    episode_id, detainer_id = key
    if not episode_id:
        _add(out, feed_timer(state, detainer_id, state.clock))
        return
    episode = state.episodes.get(episode_id)
    if detainer_id:
        if episode is not None and detainer_id in state.pairs.get(episode_id, {}):
            _judge(state, episode, detainer_id, _own("timer", detainer_id, now), now, out)
    elif episode is None:
        state.let_go(episode_id, None)  # its marker has been kept for long enough
        out.changed.add(episode_id)
    else:
        _retain(state, episode, out)


def _own(kind: str, event_id: str, now: datetime) -> Cause:
    return Cause(kind=kind, source=OWN_SOURCE, event_id=event_id, occurred_at=now, accepted_at=now)


def _of_detainer(detainer: Detainer) -> Cause:
    return Cause(
        kind=f"detainer_{detainer.state}",
        source=detainer.agency,
        event_id=detainer.detainer_id,
        occurred_at=detainer.occurred_at,
        accepted_at=detainer.accepted_at,
    )


def _judge_all(state: PartitionState, episode: Episode, cause: Cause, now: datetime, out: Outputs) -> None:
    for detainer_id in sorted(state.pairs.get(episode.id, ())):
        _judge(state, episode, detainer_id, cause, now, out)
    _retain(state, episode, out)


def _judge(
    state: PartitionState, episode: Episode, detainer_id: str, cause: Cause, now: datetime, out: Outputs
) -> None:
    """Publish what has become of a pair, and note when time will have changed it."""
    entry = state.book.get(detainer_id)
    if entry is None:
        return
    pair = state.pairs[episode.id][detainer_id]
    verdict = derived(state, episode.view, episode.facility, entry.detainer)
    state.timers.set((episode.id, detainer_id), verdict.again_at)
    if not pair.evidence:
        pair.evidence = evidence_id(pair.identity, entry.detainer.person, episode.view.person or NOBODY)
    if pair.heed(state.ground.decisions.on(detainer_id, episode.id).values()):
        out.changed.add(episode.id)
    on = Occasion(episode, entry.detainer, pair.decisions.get(pair.evidence), cause, now)
    waits = waiting(state, pair, verdict, on)
    conflict = None if waits.conflict else next_conflict(pair, verdict.standing, on)
    review = None if waits.review else next_review(pair, verdict.standing, on)
    if conflict is not None:
        out.conflicts.append(conflict)
        out.changed.add(episode.id)
    if review is not None:
        out.reviews.append(review)
        out.changed.add(episode.id)


def _add(out: Outputs, feed: FeedOutputs) -> None:
    out.breakers += feed.breakers
    out.statuses += feed.statuses
    out.watched |= feed.watched


def _retain(state: PartitionState, episode: Episode, out: Outputs) -> None:
    """Put the episode away if it is over, long unheard of, and nothing of it is open; else look again later."""
    at, now, key = state.over_at(episode), state.clock, (episode.id, "")
    if at is None or at > now:
        state.timers.set(key, at)
    elif any(_is_open(state, episode, name, pair) for name, pair in state.pairs.get(episode.id, {}).items()):
        state.timers.set(key, now + _LOOK_AGAIN)
    else:
        state.let_go(episode.id, now)
        out.changed.add(episode.id)


def _is_open(state: PartitionState, episode: Episode, detainer_id: str, pair: Pair) -> bool:
    """Whether a version waits, a conflict stands that could still have to be taken back, or a review is open."""
    if any((episode.id, detainer_id) in waits for waits in (state.held, state.unasked)):
        return True
    entry, now = state.book.get(detainer_id), state.clock
    if entry is None or entry.detainer.state not in OPEN:
        return False
    if entry.detainer.expires_at is not None and entry.detainer.expires_at <= now:
        return False
    told = pair.told is not None and pair.told.stage not in (Stage.CLOSED, Stage.RETRACTED)
    return told or (pair.review is not None and pair.review_status is ReviewStatus.OPEN)
