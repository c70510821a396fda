"""One partition's episodes, by id and by person, and what was published of each pair."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from msgspec import Struct

from contracts.types.common import Tier
from contracts.types.conflict import Identity
from contracts.types.person import Person
from services.matcher.domain.book import DetainerBook
from services.matcher.domain.episode import Episode
from services.matcher.domain.identity.engine import Candidate, Prepared
from services.matcher.domain.stages import Standing

__all__ = ["Pair", "PartitionState"]

_NOBODY: Final = Person()


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

    def search(self, person: Prepared) -> Iterable[Candidate]:
        """Episodes of this partition that may be of this person."""
        return self._index.search(person) if len(self._index) else ()

    def judged_by_others(self, model: str) -> list[str]:
        """Ids of the episodes that the book's engine has to judge again, in order.

        model: the one by which the partition was judged whole, empty if that is not known. If it is the engine's, only
        pairs that yet another model judged are left, such as one whose work was cut short.
        """
        mine = self.book.engine.model
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
        return self.book.engine.prepare(episode.view.person or _NOBODY)

    def reindex(self, episode: Episode) -> Prepared | None:
        """Bring the index up to date with the episode; its person, if that is another than before, else None."""
        person = episode.view.person
        known = self._indexed.get(episode.id)
        if person is known or person == known:
            return None
        if person is None:
            person = _NOBODY  # who it was is not known any more
        prepared = self.book.engine.prepare(person)
        self._indexed[episode.id] = person
        self._index.put(episode.id, prepared)
        return prepared

    def link(self, episode_id: str, detainer_id: str, pair: Pair) -> None:
        self.pairs.setdefault(episode_id, {})[detainer_id] = pair
        self._by_detainer.setdefault(detainer_id, set()).add(episode_id)
