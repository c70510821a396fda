"""One partition driven by hand, and facts and detainers to drive it with."""

from __future__ import annotations

from contracts.ids import decision_id, episode_id
from contracts.types.conflict import Conflict, Decision, Review, ReviewDecision, Stage
from contracts.types.detainer import Detainer
from contracts.types.feed import Breaker
from services.matcher.adapters.changelog import encode_episode, load_episode
from services.matcher.domain.episode import Fact
from services.matcher.domain.fold import Outputs, evolve
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.inputs import (
    BreakerInput,
    CustodyInput,
    DecisionInput,
    DetainerInput,
    Input,
    ModelInput,
    PlaceInput,
    Tick,
)
from services.matcher.domain.partition import PartitionState
from services.matcher.identity_model import load_model
from tests.unit.matcher.people import BOOKING, FACILITY, at

__all__ = ["ENGINE", "EPISODE", "Given", "World", "decide"]

ENGINE = WeighedEngine(load_model())
EPISODE = episode_id(FACILITY, BOOKING)


Given = Fact | Detainer | ReviewDecision | Breaker


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

    def take(self, *inputs: Given) -> World:
        for given_input in inputs:
            self._offset += 1
            match given_input:
                case Fact():
                    self.evolve(CustodyInput(given_input, EPISODE))
                case Detainer():
                    self.book.put(given_input, 0, self._offset)
                    self.evolve(DetainerInput(given_input.detainer_id))
                case ReviewDecision():
                    self.ground.decisions.put(given_input, 0, self._offset)
                    self.evolve(DecisionInput(given_input.detainer_id, given_input.episode_id))
                case Breaker():
                    if self.ground.breakers.put(given_input):
                        self.evolve(BreakerInput(given_input.facility, given_input.breaker_id))
        return self

    def move(self, zone: str) -> World:
        """The registry says that FACILITY is in this time zone."""
        if self.ground.places.put(FACILITY, zone):
            self.evolve(PlaceInput(FACILITY))
        return self

    def evolve(self, given: Input) -> Outputs:
        out = evolve(self.state, given, self.now)
        self.conflicts += out.conflicts
        self.reviews += out.reviews
        self.changed |= out.changed
        return out

    def pass_time(self, hours: float) -> World:
        """Until `at(hours)`: every timer runs out at its own instant, as a lane sees to it."""
        while (due := self.state.timers.next()) is not None and due <= at(hours):
            self.now = max(self.now, due)
            self.evolve(Tick())
        self.now = max(self.now, at(hours))
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
            again.ground.decisions = self.ground.decisions
        again.state = PartitionState(again.ground)
        for name in (*self.state.episodes, *self.state.put_away):
            load_episode(again.state, name, encode_episode(self.state, name))
        again.now = self.now
        again._offset = self._offset
        return again

    def judge_again(self, model: str) -> World:
        """What a lane does after it has restored a partition that `model` had judged."""
        for stale in self.state.judged_by_others(model):
            self.evolve(ModelInput(stale))
        return self

    def stages(self) -> list[tuple[int, Stage]]:
        return [(c.version, c.stage) for c in self.conflicts]

    def final(self) -> tuple[object, object]:
        """What stands at the end. Retracted is as if it had never been: whether it was told at all may depend on
        the order, what is true at the end may not."""
        standings = {
            (episode_id, detainer_id): (pair.told, pair.told_tier if pair.told.stage is not Stage.CLOSED else None)
            for episode_id, pairs in self.state.pairs.items()
            for detainer_id, pair in pairs.items()
            if pair.told is not None and pair.told.stage is not Stage.RETRACTED
        }
        open_reviews = {
            (episode_id, detainer_id): (pair.review_status, pair.review if pair.review_decision is None else None)
            for episode_id, pairs in self.state.pairs.items()
            for detainer_id, pair in pairs.items()
            if pair.review is not None
        }
        return standings, open_reviews


def decide(review: Review, decision: Decision, hours: float = 50, reviewer: str = "reviewer-1") -> ReviewDecision:
    """What a reviewer says who saw this version of the review."""
    return ReviewDecision(
        decision_id=decision_id(review.review_id, review.version, decision, reviewer),
        review_id=review.review_id,
        version=review.version,
        evidence_id=review.evidence_id,
        detainer_id=review.detainer.detainer_id,
        episode_id=review.custody_side.record,
        decision=decision,
        reason="seen",
        reviewer=reviewer,
        decided_at=at(hours),
    )
