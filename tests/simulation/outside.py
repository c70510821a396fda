"""Who is neither a jail nor an agency: the registrar, the reviewer, and the operator of a breaker. And what is posted,
as bytes.

The last two read what is committed and write to their topic; that the console loses nothing is the notifier's own test.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Final

import msgspec

from contracts.ids import decision_id
from contracts.types.conflict import Review, ReviewDecision, ReviewStatus
from contracts.types.feed import Breaker, BreakerState
from contracts.types.registry import Facility, registry_key
from tests.simulation.history import Opinion, Send
from tests.simulation.kafka import Entry

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Operator", "Registrar", "Reviewer", "body_of"]

_LOOK_S = 0.5
_ELSEWHERE: Final = ("Pacific/Kiritimati", "Pacific/Guam", "No/Where")
_encode = msgspec.json.encode


def body_of(send: Send) -> bytes:
    """What is posted: a CloudEvent, or a command."""
    draft = send.custody
    if draft is None:
        return _encode(send.command)
    kind = str(draft.event.__struct_config__.tag)
    envelope = {
        "specversion": "1.0",
        "id": draft.event_id,
        "source": draft.source,
        "type": f"sallyport.custody.{kind}.v1",
        "data": draft.event,
    }
    return _encode(envelope)


class Registrar:
    """Puts the jails on registry.v1: some in a wrong time zone. That is corrected while things are being said, or by
    `finish`, when every hold has run out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = Random(f"{world.history.seed} registrar")
        self._late: list[Facility] = []

    def register(self) -> None:
        for place in self._world.history.places:
            right = place.record()
            if self._rng.random() < 0.6:
                self._write(msgspec.structs.replace(right, time_zone=self._rng.choice(_ELSEWHERE)))
                if self._rng.random() < 0.7:
                    self._late.append(right)
                else:
                    self._world.later(self._rng.uniform(1, 20), lambda right=right: self._write(right))  # type: ignore[misc]
            else:
                self._write(right)

    def finish(self) -> bool:
        """Correct the rest; False if there is none."""
        for right in self._late:
            self._write(right)
        return bool(self._late)

    def _write(self, record: Facility) -> None:
        self._world.story.say("registrar", f"{record.id} is in {record.time_zone}")
        self._world.story.count("records of jails")
        self._world.broker.append(("registry.v1", 0), [(registry_key(record).encode(), _encode(record), ())])


class _Watcher:
    """Follows a topic of one partition as the world; `see` is called with each record that is committed."""

    topic = ""

    def __init__(self, world: World) -> None:
        self.world = world

    async def run(self) -> None:
        position = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            entries, position = self.world.broker.logs[self.topic, 0].read(position, 1 << 60)
            for entry in entries:
                self.see(entry)

    def see(self, entry: Entry) -> None:
        raise NotImplementedError

    def write(self, topic: str, key: bytes, value: bytes) -> None:
        """Straight into the log, at times twice."""
        broker = self.world.broker
        for _ in range(2 if self.world.rng.random() < 0.1 else 1):
            broker.append((topic, 0), [(key, value, ())])


class Reviewer(_Watcher):
    """Decides on open reviews, by the history's opinion of their evidence, once for each evidence."""

    topic = "reviews.v1"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._seen: set[tuple[str, str]] = set()

    def see(self, entry: Entry) -> None:
        review = msgspec.json.decode(entry.value or b"", type=Review)
        seen = (review.review_id, review.evidence_id)
        if review.status is not ReviewStatus.OPEN or seen in self._seen:
            return
        self._seen.add(seen)
        pair = (review.detainer.detainer_id, review.custody_side.record)
        for opinion in self.world.history.opinions(*pair, review.evidence_id):
            self.world.later(opinion.delay_s / 4, lambda opinion=opinion: self._decide(review, opinion))  # type: ignore[misc]

    def _decide(self, review: Review, opinion: Opinion) -> None:
        world = self.world
        decision = ReviewDecision(
            decision_id=decision_id(review.review_id, review.version, opinion.decision, opinion.reviewer),
            review_id=review.review_id,
            version=review.version,
            evidence_id=review.evidence_id,
            detainer_id=review.detainer.detainer_id,
            episode_id=review.custody_side.record,
            decision=opinion.decision,
            reason=opinion.reason,
            reviewer=opinion.reviewer,
            decided_at=world.now(),
        )
        world.story.say(opinion.reviewer, f"{opinion.decision}s {review.review_id[:8]} v{review.version}")
        world.story.count(f"decisions: {opinion.decision}")
        world.faults.at_a_decision()
        self.write("review.decisions.v1", review.review_id.encode(), _encode(decision))


class Operator(_Watcher):
    """Decides on a breaker that has tripped, if the history wants it."""

    topic = "breakers.v1"

    def see(self, entry: Entry) -> None:
        breaker = msgspec.json.decode(entry.value or b"", type=Breaker)
        history = self.world.history
        if breaker.state is BreakerState.TRIPPED:
            self.world.story.count("breakers tripped")
            if history.operator is not None:
                self.world.later(history.operator_delay_s / 4, lambda: self._decide(breaker, history.operator))

    def _decide(self, breaker: Breaker, state: BreakerState | None) -> None:
        assert state is not None
        self.world.story.say("operator", f"the releases of {breaker.facility} are {state}")
        decided = msgspec.structs.replace(
            breaker, state=state, decided_at=self.world.now(), decided_by="operator-1", reason="asked the jail"
        )
        self.write("breakers.v1", breaker.breaker_id.encode(), _encode(decided))
        self.world.published.append(("breakers.v1", _encode(decided)))
