"""The fold of one partition: `evolve(state, input, now) -> outputs`, deterministic and pure but for `state` itself.

An input is a custody fact or a detainer that changed. Either may come first (DESIGN.md, "The join"): a fact is
judged against the book of detainers, a detainer against the episodes of the partition.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from contracts.ids import conflict_id, review_id
from contracts.types.common import Tier
from contracts.types.conflict import (
    Cause,
    Conflict,
    ConflictDetainer,
    ConflictEpisode,
    Identity,
    Review,
    ReviewSide,
    ReviewStatus,
    Stage,
)
from contracts.types.detainer import Detainer
from contracts.types.person import Person
from services.matcher.domain.book import DetainerBook
from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.identity.engine import Prepared
from services.matcher.domain.stages import NOTIFIABLE, Standing, derive, facts_corrected, identity_lost

__all__ = ["CustodyInput", "DetainerInput", "Outputs", "Pair", "PartitionState", "evolve"]


class Pair(Struct, omit_defaults=True):
    """What was published of one (detainer, episode) pair; the ground for the next version.

    told: standing of the conflict's newest version, None before the first.
    review: what the newest review version was about, None while there is none open.
    """

    identity: Identity
    version: int = 0
    told: Standing | None = None
    told_tier: Tier | None = None
    review_version: int = 0
    review: Standing | None = None
    review_identity: Identity | None = None


class CustodyInput(Struct, frozen=True, gc=False):
    """A custody event of this partition, and the id of its episode."""

    fact: Fact
    episode_id: str


class DetainerInput(Struct, frozen=True, gc=False):
    """A detainer that the book now holds in a new version."""

    detainer_id: str


class Outputs(Struct):
    """What an input led to. changed: ids of the episodes whose state has to be written."""

    conflicts: list[Conflict]
    reviews: list[Review]
    changed: set[str]


class PartitionState:
    """The episodes of one partition, indexed by person, and their pairs.

    book: shared by all partitions of an instance, read only from here.
    look_back: see `stages.derive`.
    """

    def __init__(self, book: DetainerBook, look_back: timedelta) -> None:
        self.book = book
        self.look_back = look_back
        self.episodes: dict[str, Episode] = {}
        self.pairs: dict[str, dict[str, Pair]] = {}
        self._index = book.engine.new_index()
        self._indexed: dict[str, Person] = {}
        self._by_detainer: dict[str, set[str]] = {}

    def restore(self, episode: Episode, pairs: dict[str, Pair]) -> None:
        """Put in an episode as the changelog has it."""
        for detainer_id in self.pairs.pop(episode.id, {}):
            self._by_detainer[detainer_id].discard(episode.id)
        self.episodes[episode.id] = episode
        for detainer_id, pair in pairs.items():
            self.link(episode.id, detainer_id, pair)
        self.reindex(episode)

    def search(self, person: Prepared) -> dict[str, Identity]:
        """Episodes of this partition that may be of this person."""
        return {c.record_id: c.identity for c in self._index.search(person)} if len(self._index) else {}

    def paired_with(self, detainer_id: str) -> set[str]:
        """Episodes that have a pair with this detainer."""
        return self._by_detainer.get(detainer_id, set())

    def reindex(self, episode: Episode) -> Prepared | None:
        """Bring the index up to date with the episode; its person, if that is another than before, else None."""
        person = episode.view.person
        known = self._indexed.get(episode.id)
        if person is known or person == known:
            return None
        if person is None:
            person = Person()  # who it was is not known any more: indexed as nobody
        prepared = self.book.engine.prepare(person)
        self._indexed[episode.id] = person
        self._index.put(episode.id, prepared)
        return prepared

    def link(self, episode_id: str, detainer_id: str, pair: Pair) -> None:
        self.pairs.setdefault(episode_id, {})[detainer_id] = pair
        self._by_detainer.setdefault(detainer_id, set()).add(episode_id)


def evolve(state: PartitionState, given: CustodyInput | DetainerInput, now: datetime) -> Outputs:
    """Take one input in. `state` is changed in place; whoever calls makes outputs and state durable together."""
    out = Outputs(conflicts=[], reviews=[], changed=set())
    match given:
        case CustodyInput():
            _custody(state, given, now, out)
        case DetainerInput(detainer_id=detainer_id):
            _detainer(state, detainer_id, now, out)
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
        _identify(state, episode.id, person, state.pairs.get(episode.id, {}))
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


def _identify(state: PartitionState, episode_id: str, person: Prepared, known: dict[str, Pair]) -> None:
    """Ask anew which detainers may be lodged on the episode's person."""
    found = {c.record_id: c.identity for c in state.book.search(person)}
    if found or known:
        _update_identities(state, episode_id, known, found, state.book.engine.model)


def _update_identities(
    state: PartitionState, episode_id: str, known: dict[str, Pair], found: dict[str, Identity], model: str
) -> None:
    for detainer_id, pair in known.items():
        if detainer_id not in found:
            pair.identity = Identity(tier=Tier.NONE, model=model)
    for detainer_id, identity in found.items():
        if detainer_id in known:
            known[detainer_id].identity = identity
        else:
            state.link(episode_id, detainer_id, Pair(identity=identity))


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
    identities = state.search(entry.person)
    for episode_id in sorted(identities.keys() | state.paired_with(detainer_id)):
        pair = state.pairs.get(episode_id, {}).get(detainer_id)
        identity = identities.get(episode_id) or Identity(tier=Tier.NONE, model=state.book.engine.model)
        if pair is None:
            pair = Pair(identity=identity)
            state.link(episode_id, detainer_id, pair)
            out.changed.add(episode_id)
        elif pair.identity != identity:
            pair.identity = identity
            out.changed.add(episode_id)
        _judge(state, state.episodes[episode_id], detainer_id, pair, cause, now, out)


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
