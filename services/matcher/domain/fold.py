"""The fold of one partition: `evolve(state, input, now) -> outputs`, deterministic and pure but for `state` itself.

An input is a custody fact or a detainer that changed. Either may come first (DESIGN.md, "The join"): a fact is
judged against the book of detainers, a detainer against the episodes of the partition. A third kind of input is an
episode that another identity model judged (docs/adr/0011): it is asked again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeAlias

from msgspec import Struct

from contracts.ids import conflict_id, review_id
from contracts.types.common import Tier
from contracts.types.conflict import (
    Cause,
    Conflict,
    ConflictDetainer,
    ConflictEpisode,
    Review,
    ReviewSide,
    ReviewStatus,
    Stage,
)
from contracts.types.detainer import Detainer
from contracts.types.person import Person
from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.hits import evidence_id, identify, meet
from services.matcher.domain.partition import Pair, PartitionState
from services.matcher.domain.stages import NOTIFIABLE, Standing, derive, facts_corrected, identity_lost

__all__ = [
    "CustodyInput",
    "DetainerInput",
    "Input",
    "ModelInput",
    "Outputs",
    "evolve",
]


MODEL_SOURCE: Final = "sallyport/matcher"
"""Source of a cause that came from no jail and no agency."""


class CustodyInput(Struct, frozen=True, gc=False):
    """A custody event of this partition, and the id of its episode."""

    fact: Fact
    episode_id: str


class DetainerInput(Struct, frozen=True, gc=False):
    """A detainer that the book now holds in a new version."""

    detainer_id: str


class ModelInput(Struct, frozen=True, gc=False):
    """An episode that has to be judged by the model of now, having been judged by another."""

    episode_id: str


Input: TypeAlias = CustodyInput | DetainerInput | ModelInput


class Outputs(Struct):
    """What an input led to. changed: ids of the episodes whose state has to be written."""

    conflicts: list[Conflict]
    reviews: list[Review]
    changed: set[str]


def evolve(state: PartitionState, given: Input, now: datetime) -> Outputs:
    """Take one input in. `state` is changed in place; whoever calls makes outputs and state durable together."""
    out = Outputs(conflicts=[], reviews=[], changed=set())
    match given:
        case CustodyInput():
            _custody(state, given, now, out)
        case DetainerInput(detainer_id=detainer_id):
            _detainer(state, detainer_id, now, out)
        case ModelInput(episode_id=episode_id):
            _model(state, episode_id, now, out)
    return out


def _custody(state: PartitionState, given: CustodyInput, now: datetime, out: Outputs) -> None:
    fact = given.fact
    episode = state.episodes.get(given.episode_id)
    if episode is None:
        episode = Episode(fact.event.facility, fact.event.booking_number, given.episode_id)
        state.episodes[episode.id] = episode
    if not episode.add(fact):
        return
    out.changed.add(episode.id)
    person = state.reindex(episode)
    if person is not None:
        identify(state, episode, person, out.changed)
    pairs = state.pairs.get(episode.id)
    if not pairs:
        return
    cause = Cause(
        kind=str(fact.event.__struct_config__.tag),
        source=fact.source,
        event_id=fact.event_id,
        occurred_at=fact.event.occurred_at,
        accepted_at=fact.accepted_at,
    )
    for detainer_id in sorted(pairs):
        _judge(state, episode, detainer_id, pairs[detainer_id], cause, now, out)


def _detainer(state: PartitionState, detainer_id: str, now: datetime, out: Outputs) -> None:
    entry = state.book.get(detainer_id)
    if entry is None:
        return
    detainer = entry.detainer
    cause = Cause(
        kind=f"detainer_{detainer.state}",
        source=detainer.agency,
        event_id=detainer_id,
        occurred_at=detainer.occurred_at,
        accepted_at=detainer.accepted_at,
    )
    for episode_id in meet(state, entry, out.changed):
        pair = state.pairs[episode_id][detainer_id]
        _judge(state, state.episodes[episode_id], detainer_id, pair, cause, now, out)


def _model(state: PartitionState, episode_id: str, now: datetime, out: Outputs) -> None:
    """Ask anew, by the model of now, whom the episode is of, and let versions and reviews follow by the usual rules."""
    episode = state.episodes.get(episode_id)
    if episode is None or not state.is_named(episode_id):
        return
    identify(state, episode, state.prepared(episode), out.changed)
    cause = Cause(
        kind="identity_model", source=MODEL_SOURCE, event_id=state.book.engine.model, occurred_at=now, accepted_at=now
    )
    pairs = state.pairs.get(episode_id, {})
    for detainer_id in sorted(pairs):
        _judge(state, episode, detainer_id, pairs[detainer_id], cause, now, out)


def _judge(
    state: PartitionState,
    episode: Episode,
    detainer_id: str,
    pair: Pair,
    cause: Cause,
    now: datetime,
    out: Outputs,
) -> None:
    entry = state.book.get(detainer_id)
    if entry is None:
        return
    standing = derive(episode.view, entry.detainer, state.look_back)
    tier = pair.identity.tier
    _tell(episode, entry.detainer, pair, standing if tier in NOTIFIABLE else None, cause, now, out)
    _ask(episode, entry.detainer, pair, standing if tier is Tier.POSSIBLE else None, cause, now, out)


def _tell(
    episode: Episode,
    detainer: Detainer,
    pair: Pair,
    standing: Standing | None,
    cause: Cause,
    now: datetime,
    out: Outputs,
) -> None:
    """Publish a version if what there is to say has changed."""
    told = pair.told
    if standing is None:
        if told is None or told.stage is Stage.RETRACTED:
            return
        standing = identity_lost() if pair.identity.tier not in NOTIFIABLE else facts_corrected()
    elif told is None and standing.stage is Stage.RETRACTED:
        return  # nobody was told anything that would have to be taken back
    if standing == told and pair.identity.tier is pair.told_tier:
        return
    pair.version += 1
    previous, pair.told, pair.told_tier = told, standing, pair.identity.tier
    out.changed.add(episode.id)
    out.conflicts.append(
        Conflict(
            conflict_id=conflict_id(detainer.detainer_id, episode.id),
            version=pair.version,
            stage=standing.stage,
            previous_stage=previous.stage if previous is not None else None,
            detainer=_of_detainer(detainer),
            episode=_of_episode(episode),
            identity=pair.identity,
            release=standing.release,
            retraction=standing.retraction,
            closed_because=standing.closed_because,
            custody_assumed_at=standing.custody_assumed_at,
            time_to_custody_s=_time_to_custody(standing),
            cause=cause,
            decided_at=now,
        )
    )


def _ask(
    episode: Episode,
    detainer: Detainer,
    pair: Pair,
    standing: Standing | None,
    cause: Cause,
    now: datetime,
    out: Outputs,
) -> None:
    """Open, renew or withdraw the review of a hit that is only POSSIBLE."""
    wanted = standing if standing is not None and standing.stage not in (Stage.RETRACTED, Stage.CLOSED) else None
    if wanted is None and pair.review is None:
        return
    if wanted is not None and wanted == pair.review and pair.identity == pair.review_identity:
        return
    shown = wanted or pair.review
    assert shown is not None
    identity = pair.identity if wanted is not None else (pair.review_identity or pair.identity)
    pair.review_version += 1
    pair.review, pair.review_identity = wanted, identity if wanted is not None else None
    out.changed.add(episode.id)
    out.reviews.append(
        Review(
            review_id=review_id(detainer.detainer_id, episode.id),
            version=pair.review_version,
            status=ReviewStatus.OPEN if wanted is not None else ReviewStatus.WITHDRAWN,
            conflict_id=conflict_id(detainer.detainer_id, episode.id),
            stage=shown.stage,
            detainer=_of_detainer(detainer),
            detainer_side=ReviewSide(record=detainer.detainer_id, where=detainer.agency, person=detainer.person),
            custody_side=ReviewSide(record=episode.id, where=episode.facility, person=episode.view.person or Person()),
            identity=identity,
            evidence_id=evidence_id(identity),
            cause=cause,
            decided_at=now,
        )
    )


def _time_to_custody(standing: Standing) -> float | None:
    """Seconds from the release until the lodging agency had the person (the Hartford case: 62 days)."""
    released_at = standing.release.released_at if standing.release is not None else None
    if standing.custody_assumed_at is None or released_at is None:
        return None
    return max(0.0, (standing.custody_assumed_at - released_at).total_seconds())


def _of_detainer(detainer: Detainer) -> ConflictDetainer:
    return ConflictDetainer(
        detainer_id=detainer.detainer_id,
        agency=detainer.agency,
        agency_reference=detainer.agency_reference,
        type=detainer.type,
        intent=detainer.intent,
        lodged_at=detainer.lodged_at,
    )


def _of_episode(episode: Episode) -> ConflictEpisode:
    view = episode.view
    return ConflictEpisode(
        episode_id=episode.id,
        facility=episode.facility,
        booking_number=episode.booking_number,
        custody_status=view.status,
        booked_at=view.booked_at,
    )
