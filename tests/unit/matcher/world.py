"""One partition driven by hand, and facts and detainers to drive it with."""

from __future__ import annotations

from hypothesis import strategies as st

from contracts.ids import episode_id
from contracts.types.conflict import Conflict, Review, Stage
from contracts.types.custody import (
    Booked,
    Escaped,
    ReleaseCancelled,
    Released,
    ReleaseScheduled,
    Returned,
    Transferred,
    Updated,
    Voided,
)
from contracts.types.detainer import Detainer, DetainerState
from services.matcher.adapters.changelog import encode_episode, load_episode
from services.matcher.domain.episode import Fact
from services.matcher.domain.fold import CustodyInput, DetainerInput, ModelInput, evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.partition import PartitionState
from services.matcher.identity_model import load_model
from tests.unit.matcher.people import AGENCY, BOOKING, FACILITY, at, detainer, fact, person

__all__ = ["ENGINE", "EPISODE", "INPUTS", "World"]

ENGINE = WeighedEngine(load_model())
EPISODE = episode_id(FACILITY, BOOKING)


class World:
    """A book and one partition, driven by hand."""

    def __init__(self, engine: WeighedEngine = ENGINE) -> None:
        self.ground = Ground(engine)
        self.book = self.ground.detainers
        self.state = PartitionState(self.ground)
        self.now = at(0)
        self.conflicts: list[Conflict] = []
        self.reviews: list[Review] = []
        self.changed: set[str] = set()
        self._offset = 0

    def take(self, *inputs: Fact | Detainer) -> World:
        for given_input in inputs:
            if isinstance(given_input, Fact):
                out = evolve(self.state, CustodyInput(given_input, EPISODE), self.now)
            else:
                self._offset += 1
                self.book.put(given_input, 0, self._offset)
                out = evolve(self.state, DetainerInput(given_input.detainer_id), self.now)
            self.conflicts += out.conflicts
            self.reviews += out.reviews
        return self

    def restarted(self, engine: WeighedEngine | None = None) -> World:
        """The same world after a crash: only what the changelog holds is left, and the detainers. engine: another."""
        again = World(engine or ENGINE)
        if engine is None:
            again.ground = self.ground
            again.book = self.book
        else:
            for detainer_id in self.book.since({}):
                entry = self.book.get(detainer_id)
                assert entry is not None
                again.book.put(entry.detainer, entry.partition, entry.offset)
        again.state = PartitionState(again.ground)
        for name in self.state.episodes:
            load_episode(again.state, name, encode_episode(self.state, name))
        again.now = self.now
        again._offset = self._offset
        return again

    def judge_again(self, model: str) -> World:
        """What a lane does after it has restored a partition that `model` had judged."""
        for stale in self.state.judged_by_others(model):
            out = evolve(self.state, ModelInput(stale), self.now)
            self.conflicts += out.conflicts
            self.reviews += out.reviews
            self.changed |= out.changed
        return self

    def stages(self) -> list[tuple[int, Stage]]:
        return [(c.version, c.stage) for c in self.conflicts]

    def final(self) -> tuple[object, object]:
        """What stands at the end. Retracted is as if it had never been: whether it was told at all may depend on
        the order, what is true at the end may not."""
        standings = {
            (episode_id, detainer_id): (pair.told, pair.told_tier)
            for episode_id, pairs in self.state.pairs.items()
            for detainer_id, pair in pairs.items()
            if pair.told is not None and pair.told.stage is not Stage.RETRACTED
        }
        open_reviews = {
            (episode_id, detainer_id): pair.review
            for episode_id, pairs in self.state.pairs.items()
            for detainer_id, pair in pairs.items()
            if pair.review is not None
        }
        return standings, open_reviews


_booked = fact(Booked, 0)
_released = fact(Released, 10)
FACTS: list[Fact] = [
    _booked,
    fact(Updated, 1, person=person(ucn="XY12")),
    fact(Updated, 2, person=person("Quillfether", sid="9999999")),
    fact(ReleaseScheduled, 3, scheduled_for=at(9)),
    fact(ReleaseCancelled, 4),
    fact(ReleaseScheduled, 5, scheduled_for=at(10)),
    _released,
    fact(Released, 10, sequence=1, released_to=AGENCY),
    fact(Released, 24, inferred=True),
    fact(Returned, 11),
    fact(Escaped, 12),
    fact(Transferred, 13, to_facility="CTMACDGL0"),
    fact(Voided, 14, voids_event=_released.event_id),
    fact(Voided, 15, voids_event=_booked.event_id),
    fact(Voided, 16, voids_event="voided-15-0"),
]
DETAINERS: list[Detainer] = [
    detainer(-24),
    detainer(-24, changed=6, sequence=1, who=person(ucn="XY12")),
    detainer(-24, DetainerState.LIFTED, changed=9),
    detainer(-24, DetainerState.CUSTODY_ASSUMED, changed=30),
    detainer(12, reference="D-2", agency="NYPROB001", who=person(sid=None)),
]
INPUTS: st.SearchStrategy[list[Fact | Detainer]] = st.lists(
    st.sampled_from([*FACTS, *DETAINERS]), min_size=2, max_size=12, unique_by=id
)
