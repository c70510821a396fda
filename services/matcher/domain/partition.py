"""One partition's episodes, by id and by person, what was published of each pair, and what time will bring."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from contracts.types.common import Tier
from contracts.types.conflict import Identity, ReviewDecision, ReviewOutcome, ReviewStatus
from contracts.types.custody import Released
from contracts.types.feed import Breaker, BreakerState
from contracts.types.person import Person
from services.matcher.domain.decisions import age
from services.matcher.domain.episode import Episode, Fact
from services.matcher.domain.feeds.book import steward
from services.matcher.domain.feeds.breaker import is_crowded
from services.matcher.domain.feeds.rhythm import Rhythm
from services.matcher.domain.feeds.tally import Contribution, Tallies, contribution
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.engine import Candidate, IdentityIndex, Prepared
from services.matcher.domain.stages import Standing
from services.matcher.domain.timers import Timers

__all__ = ["BEGINNING", "NOBODY", "Pair", "PartitionState", "Watch"]

NOBODY: Final = Person()
BEGINNING: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""A clock that has not been set."""


class Pair(Struct, omit_defaults=True):
    """What was published of one (detainer, episode) pair; the ground for the next version.

    evidence: names what `identity` rests on (`hits.evidence_id`); empty in a state of before it was kept.
    told, told_tier: the conflict's newest version, None before the first.
    review, review_status, review_identity, review_evidence, review_decision: the newest review version that has not
    been withdrawn.
    decisions: evidence id -> what a reviewer decided on it last. Kept here, since review.decisions.v1 forgets before
    some pairs end.
    """

    identity: Identity
    evidence: str = ""
    version: int = 0
    told: Standing | None = None
    told_tier: Tier | None = None
    review_version: int = 0
    review: Standing | None = None
    review_status: ReviewStatus = ReviewStatus.OPEN
    review_identity: Identity | None = None
    review_evidence: str = ""
    review_decision: str | None = None
    decisions: dict[str, ReviewOutcome] = {}

    def heed(self, decisions: Iterable[ReviewDecision]) -> bool:
        """Keep these, but for those of which a newer one is known; True if there was any to be kept."""
        heeded = False
        for decision in decisions:
            known = self.decisions.get(decision.evidence_id)
            if known is None or age(known) < age(decision):
                self.decisions[decision.evidence_id] = _outcome(decision)
                heeded = True
        return heeded


def _outcome(decision: ReviewDecision) -> ReviewOutcome:
    return ReviewOutcome(
        decision_id=decision.decision_id,
        decision=decision.decision,
        reason=decision.reason,
        reviewer=decision.reviewer,
        decided_at=decision.decided_at,
    )


class Watch(Struct, omit_defaults=True):
    """How often a facility is heard of, as its steward keeps it; silent: and that it is not, has been said."""

    rhythm: Rhythm
    silent: bool = False


class PartitionState:
    """The episodes of one partition, indexed by person, and their pairs.

    ground: shared by all partitions of an instance, read only from here.
    partition, partitions: which one it is of how many.
    clock: the latest time that an input was judged at; never goes back, whoever owns the partition.
    began: when this owner judged its first input.
    put_away: episodes that were let go (docs/lifecycle.md, "Put away"), and when.
    held, unasked: pairs whose next conflict version waits, and those whose next review version does (`waiting`).
    rounds: until when, of those that do not wait for an operator.
    tallies: what the partition counts of each facility. watched, tripped: what it does as a steward (`steward`).
    """

    def __init__(self, ground: Ground, partition: int = 0, partitions: int = 1) -> None:
        self.ground = ground
        self.book = ground.detainers
        self.clock = self.began = BEGINNING
        self.tallies = Tallies(ground.feed_terms.keep)
        self.watched: dict[str, Watch] = {}
        self.tripped: dict[str, list[Breaker]] = {}
        self._partition = partition
        self._partitions = partitions
        self.episodes: dict[str, Episode] = {}
        self.pairs: dict[str, dict[str, Pair]] = {}
        self.put_away: dict[str, datetime] = {}
        self.held: set[tuple[str, str]] = set()
        self.unasked: set[tuple[str, str]] = set()
        self.rounds: dict[tuple[str, str], datetime] = {}
        self._alone = ground.feed_terms.alone(partitions)
        self.timers = Timers()
        self._index = ground.engine.new_index()
        self._indexed: dict[str, Person] = {}
        self._by_detainer: dict[str, set[str]] = {}

    @property
    def index(self) -> IdentityIndex:
        """The people of the episodes; to be measured, and changed by nobody else."""
        return self._index

    def restore(self, episode: Episode, pairs: dict[str, Pair]) -> None:
        """Put in an episode as the changelog has it. What time has brought about meanwhile is due at once."""
        before = self.counted(episode.id)
        self._unlink(episode.id)
        self.episodes[episode.id] = episode
        self.apply_breakers(episode)
        self.count(episode, before)
        for detainer_id, pair in pairs.items():
            self.link(episode.id, detainer_id, pair)
            self.timers.set((episode.id, detainer_id), BEGINNING)
        self.timers.set((episode.id, ""), self.over_at(episode))
        self.reindex(episode)

    def let_go(self, episode_id: str, at: datetime | None) -> None:
        """Take the episode out. at: leaves a marker that it was put away then; None: leaves nothing."""
        episode = self.episodes.get(episode_id)
        if episode is not None:
            self.tallies.changed(episode.facility, contribution(episode.view), None, episode.heard_at)
        for detainer_id in self.pairs.get(episode_id, {}):
            self.timers.set((episode_id, detainer_id), None)
        self._unlink(episode_id)
        self.episodes.pop(episode_id, None)
        if self._indexed.pop(episode_id, None) is not None:
            self._index.remove(episode_id)
        if at is None:
            self.put_away.pop(episode_id, None)
            self.timers.set((episode_id, ""), None)
        else:
            self.put_away[episode_id] = at
            self.timers.set((episode_id, ""), at + self.ground.terms.marker)

    def over_at(self, episode: Episode) -> datetime | None:
        """When the episode may be put away, if nothing of it is open then and nothing more is heard; None: not yet."""
        view = episode.view
        ended_at = view.ended_at or (view.first_at if view.voided else None)
        return None if ended_at is None else max(ended_at, episode.heard_at) + self.ground.terms.retention

    def is_steward(self, facility: str) -> bool:
        """Whether this partition judges the facility's feed."""
        return steward(facility, self._partitions) == self._partition

    def counted(self, episode_id: str) -> Contribution | None:
        """What the episode, if there is one, adds to its facility's tally as it stands."""
        episode = self.episodes.get(episode_id)
        return contribution(episode.view) if episode is not None else None

    def count(self, episode: Episode, before: Contribution | None) -> None:
        """The episode has changed, and added `before` until now."""
        self.tallies.changed(episode.facility, before, contribution(episode.view), episode.heard_at)

    def apply_breakers(self, episode: Episode) -> bool:
        """Leave releases that an operator discarded out of account (rule 19); True if that changes the episode."""
        if not self.ground.breakers.of(episode.facility):
            return False
        return episode.discard(lambda fact: self._ruled(fact) is BreakerState.DISCARDED)

    def is_held(self, fact: Fact) -> bool:
        """Whether the fact is a release that waits for an operator."""
        return self._ruled(fact) is BreakerState.TRIPPED

    def waits(self, pair: tuple[str, str], conflict: bool, review: bool, ends: datetime | None) -> None:
        """Note what of a pair waits, and until when; None: for an operator, or not at all."""
        (self.held.add if conflict else self.held.discard)(pair)
        (self.unasked.add if review else self.unasked.discard)(pair)
        if ends is None:
            self.rounds.pop(pair, None)
        else:
            self.rounds[pair] = ends

    def begin(self) -> None:
        """Whoever serves the partition has judged nothing yet. Once they have, and no backlog is left, what waits for a
        round is looked at: its seconds begin then."""
        self.began = BEGINNING
        for pair in self.rounds:
            self.timers.set(pair, BEGINNING)

    def is_suspect(self, fact: Fact) -> bool:
        """Whether the fact is a release of which nothing is said yet, and one of too many by this partition's count."""
        event = fact.event
        if not isinstance(event, Released) or self.tallies.released(event.facility) < self._alone.at_least:
            return False
        if self._ruled(fact) is not None:
            return False
        tally, breakers = self.tallies.tally(event.facility), self.ground.breakers.of(event.facility)
        return is_crowded(tally, event.occurred_at, self._alone, breakers)

    def _ruled(self, fact: Fact) -> BreakerState | None:
        event = fact.event
        if not isinstance(event, Released):
            return None
        return self.ground.breakers.ruling(event.facility, event.occurred_at, fact.accepted_at)

    def _unlink(self, episode_id: str) -> None:
        for detainer_id in self.pairs.pop(episode_id, {}):
            self._by_detainer[detainer_id].discard(episode_id)
            self.waits((episode_id, detainer_id), False, False, None)

    def search(self, person: Prepared) -> Iterable[Candidate]:
        """Episodes of this partition that may be of this person."""
        return self._index.search(person) if len(self._index) else ()

    def judged_by_others(self, model: str) -> list[str]:
        """Ids of the episodes that the book's engine has to judge again, in order.

        model: the one by which the partition was judged whole, empty if that is not known. If it is the engine's, only
        pairs that yet another model judged are left, such as one whose work was cut short.
        """
        mine = self.ground.engine.model
        if model != mine:
            return sorted(self._indexed)
        return sorted(
            episode_id
            for episode_id, pairs in self.pairs.items()
            if any(pair.identity.model != mine for pair in pairs.values())
        )

    def paired_with(self, detainer_id: str) -> set[str]:
        """Episodes that have a pair with this detainer."""
        return self._by_detainer.get(detainer_id, set())

    def is_named(self, episode_id: str) -> bool:
        """Whether the episode was ever of somebody, so that it is in the index."""
        return episode_id in self._indexed

    def prepared(self, episode: Episode) -> Prepared:
        """The episode's person as the engine wants it."""
        return self.ground.engine.prepare(episode.view.person or NOBODY)

    def reindex(self, episode: Episode) -> Prepared | None:
        """Bring the index up to date with the episode; its person, if that is another than before, else None."""
        person = episode.view.person
        known = self._indexed.get(episode.id)
        if person is known or person == known:
            return None
        if person is None:
            person = NOBODY  # who it was is not known any more
        prepared = self.ground.engine.prepare(person)
        self._indexed[episode.id] = person
        self._index.put(episode.id, prepared)
        return prepared

    def link(self, episode_id: str, detainer_id: str, pair: Pair) -> None:
        self.pairs.setdefault(episode_id, {})[detainer_id] = pair
        self._by_detainer.setdefault(detainer_id, set()).add(episode_id)
