"""One history: inputs, services, faults, and then quiet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from contracts.types.conflict import Conflict
from tests.simulation.ingest import Ingest
from tests.simulation.kafka import Broker, Transaction
from tests.simulation.loop import VirtualLoop
from tests.simulation.matcher import CUSTODY_TOPIC, GROUP, Matcher
from tests.simulation.patches import installed
from tests.simulation.story import Story

__all__ = ["TOPICS", "Post", "World"]

TOPICS: Final[Mapping[str, int]] = {
    CUSTODY_TOPIC: 3,
    "detainers.v1": 2,
    "review.decisions.v1": 1,
    "breakers.v1": 1,
    "feed.tallies.v1": 1,
    "feeds.v1": 1,
    "custody.state.v1": 3,
    "conflicts.v1": 2,
    "reviews.v1": 1,
    "rejects.v1": 1,
    "notices.v1": 1,
}


@dataclass(frozen=True)
class Post:
    """What a sender posts to ingest, `at` seconds after the start. said: in words, for the story."""

    at: float
    route: str
    source: str
    body: bytes
    said: str


@dataclass
class Failure:
    """An exception that nobody may let out."""

    who: str
    error: BaseException


@dataclass
class Ledger:
    """What senders know: which of their posts were taken (202), and which were refused (422)."""

    taken: list[Post] = field(default_factory=list)
    refused: list[Post] = field(default_factory=list)


class World:
    """See the module. `run` plays it; then the broker's logs are there to be looked at."""

    def __init__(
        self, seed: int, start: datetime, posts: Sequence[Post], zones: Mapping[str, str], horizon: datetime
    ) -> None:
        self.seed = seed
        self.start = start
        self.horizon = horizon
        self.jump = timedelta(0)
        self.loop = VirtualLoop(Random(f"{seed} order"))
        self.rng = Random(f"{seed} world")
        self.story = Story(self.loop.time)
        self.broker = Broker(self.loop, Random(f"{seed} kafka"), TOPICS)
        self.broker.on_event = lambda what: self.story.say("kafka", what)
        self.broker.on_commit = self._committed
        self.failures: list[Failure] = []
        self.answers = Ledger()
        self.posts = posts
        self.ingest = Ingest(self, "ingest", Random(f"{seed} ingest"))
        count = self.rng.choice((1, 2, 2, 3))
        self.matchers = [Matcher(self, f"matcher-{n + 1}", Random(f"{seed} matcher {n}"), zones) for n in range(count)]

    # -- time ----------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.loop.time()) + self.jump

    def steady(self) -> float:
        return self.loop.time() + self.jump.total_seconds()

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """As the world, after so many seconds."""
        self.loop.call_later(seconds, act, context=self.loop.world.context)

    def failed(self, who: str, error: BaseException) -> None:
        self.story.say(who, f"fails: {type(error).__name__}: {error}")
        self.failures.append(Failure(who, error))

    # -- the run -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        with installed(self):
            self.loop.play(self._play())

    async def _play(self) -> None:
        self.ingest.start()
        for matcher in self.matchers:
            self.later(self.rng.random() * 3, matcher.start)
        senders = [self.loop.create_task(self._send(post)) for post in self.posts]
        await asyncio.gather(*senders)
        await self._quiet()
        if self.now() < self.horizon:
            self.jump = self.horizon - self.start - timedelta(seconds=self.loop.time())
            self.story.say("world", f"it is {self.horizon:%d %B %Y} now")
            await self._quiet()

    async def _send(self, post: Post) -> None:
        """Post until there is an answer that says that it was taken, or refused."""
        await asyncio.sleep(post.at)
        self.story.say(post.source, post.said)
        rng = self.rng
        while True:
            status = await self.ingest.post(post.route, post.source, post.body)
            if status in (202, 422):
                (self.answers.taken if status == 202 else self.answers.refused).append(post)
                if rng.random() < 0.1:
                    self.story.say(post.source, f"says it again: {post.said}")
                    self.story.count("repeated posts")
                    await asyncio.sleep(rng.random() * 5)
                    await self.ingest.post(post.route, post.source, post.body)
                return
            self.story.count("unanswered posts")
            await asyncio.sleep(0.2 + rng.random())

    async def _quiet(self) -> None:
        """Until nothing has been written for a while, and everything that was is judged."""
        still, before = 0, -1
        while still < 4:
            await asyncio.sleep(2.5)
            size = sum(len(log.entries) for log in self.broker.logs.values())
            still = still + 1 if size == before else 0
            before = size

    def _committed(self, transaction: Transaction) -> None:
        for key in sorted(transaction.opened):
            if key[0] == "conflicts.v1":
                for entry in self.broker.logs[key].entries[transaction.opened[key] :]:
                    if entry.transaction is transaction and entry.value is not None:
                        self.story.say(transaction.id.replace(GROUP, "partition"), _Told(entry.value))
                        self.story.count("conflict versions")


class _Told:
    """Decoded when somebody reads it."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __str__(self) -> str:
        c = msgspec.json.decode(self._value, type=Conflict)
        why = f" ({c.retraction or c.closed_because})" if c.retraction or c.closed_because else ""
        return (
            f"publishes {c.conflict_id[:8]} v{c.version} {c.stage}{why} {c.identity.tier} of {c.episode.booking_number} for "
            f"{c.detainer.agency_reference}, because of {c.cause.kind}"
        )
