"""One history: what is said, the services, what befalls them, and then quiet, moment after moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from contracts.catalog import load_topics
from services.matcher.adapters.changelog import STATE_TOPIC
from services.matcher.domain.fold import EPISODE_TOO_LARGE
from services.platform.kafka.rejects import REJECTS_TOPIC
from tests.simulation.faults import Faults
from tests.simulation.history import History, Send
from tests.simulation.ingest import COMMAND, EVENT, Ingest
from tests.simulation.kafka import Broker, Transaction
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.matcher import CUSTODY_TOPIC, GROUP, ROUND_S, Matcher
from tests.simulation.notifier import CONFLICTS_TOPIC, Notifier, Receiver
from tests.simulation.outside import Operator, Registrar, Reviewer, body_of
from tests.simulation.patches import installed
from tests.simulation.postgres import Database
from tests.simulation.service import Service
from tests.simulation.story import Story, Told

__all__ = ["TOPICS", "World"]

TOPICS: Final[Mapping[str, int]] = {
    CUSTODY_TOPIC: 3,
    "detainers.v1": 2,
    "review.decisions.v1": 1,
    "registry.v1": 1,
    "breakers.v1": 1,
    "feed.tallies.v1": 1,
    "feeds.v1": 1,
    STATE_TOPIC: 3,
    "conflicts.v1": 2,
    "reviews.v1": 1,
    REJECTS_TOPIC: 1,
    "notices.v1": 1,
}
_KAFKAS_OWN: Final = 1_048_588
_LIMITS: Final[Mapping[str, int]] = {
    **{name: load_topics()[name].max_message_bytes or _KAFKAS_OWN for name in TOPICS},
    STATE_TOPIC: 30_000,
}
"""Episodes of a history are small, and so is the room that they have here (`patches`)."""
_PACE: Final = 0.25
"""Histories send within minutes; a quarter of it leaves as much in flight at once."""


@dataclass
class Answers:
    """What senders know: which of their posts were taken (202), and which were refused (422)."""

    taken: list[Send] = field(default_factory=list)
    refused: list[Send] = field(default_factory=list)


class World:
    """See the module. `run` plays it; then the broker's logs, the ledger and the receiver are there to be looked at.

    failures: exceptions that a service let out. unquiet: what was still not done when patience ran out.
    published: what was committed to conflicts.v1 and breakers.v1, in the order of commits over both; (topic, value).
    """

    def __init__(self, history: History) -> None:
        self.history = history
        seed = history.seed
        self.jump = timedelta(0)
        self.loop = VirtualLoop(Random(f"{seed} order"))
        self.rng = Random(f"{seed} world")
        self.story = Story(self.loop.time)
        self.broker = Broker(self.loop, Random(f"{seed} kafka"), TOPICS, _LIMITS)
        self.broker.on_event = lambda what: self.story.say("kafka", what)
        self.broker.on_commit = self._committed
        self.failures: list[tuple[str, BaseException]] = []
        self.unquiet: list[str] = []
        self.answers = Answers()
        self.published: list[tuple[str, bytes]] = []
        self.ingest = Ingest(self, "ingest", Random(f"{seed} ingest"))
        count = self.rng.choice((1, 2, 2, 3))
        self.matchers = [Matcher(self, f"matcher-{n + 1}", Random(f"{seed} matcher {n}")) for n in range(count)]
        self.database = Database(self.loop, Random(f"{seed} postgres"))
        self.receiver = Receiver(self, Random(f"{seed} receiver"))
        self.notifiers = [
            Notifier(self, f"notifier-{n + 1}", Random(f"{seed} notifier {n}"))
            for n in range(self.rng.choice((1, 1, 2)))
        ]
        self.services: list[Service] = [self.ingest, *self.matchers, *self.notifiers]
        self._subscribe()
        self.registrar = Registrar(self)
        self.reviewer = Reviewer(self)
        self.operator = Operator(self)
        self.faults = Faults(self, Random(f"{seed} faults"))

    # -- time ----------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.history.start + timedelta(seconds=self.loop.time()) + self.jump

    def steady(self) -> float:
        return self.loop.time() + self.jump.total_seconds()

    def clock_of(self, process: Process) -> datetime:
        """What time it is for this process."""
        return next((s.now() for s in self.services if s.process is process), self.now())

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """As the world, after so many seconds."""
        self.loop.call_later(seconds, act, context=self.loop.world.context)

    def failed(self, who: str, error: BaseException) -> None:
        self.story.say(who, f"FAILS: {type(error).__name__}: {error}")
        self.failures.append((who, error))

    # -- the run -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        with installed(self):
            self.loop.play(self._play())

    async def _play(self) -> None:
        self.registrar.register()
        self.ingest.start()
        for service in (*self.matchers, *self.notifiers):
            self.later(self.rng.random() * 3, service.start)
        tasks = [self.loop.create_task(task) for task in (self.reviewer.run(), self.operator.run())]
        senders = [self.loop.create_task(self._send(send)) for send in self.history.sends]
        await self.faults.befall(max(send.at for send in self.history.sends) * _PACE)
        await asyncio.gather(*senders)
        await self._quiet()
        for moment in self.history.moments:
            self.jump = moment - self.history.start - timedelta(seconds=self.loop.time())
            self.story.say("world", f"it is {moment:%d %B %Y %H:%M} now")
            await self.faults.at_a_moment()
            await self._quiet()
        if self.registrar.finish():
            await self._quiet()
        for task in tasks:
            task.cancel()

    async def _send(self, send: Send) -> None:
        """Post until there is an answer that says that it was taken, or refused."""
        await asyncio.sleep(send.at * _PACE)
        self.story.say(send.source, send.note)
        route = COMMAND if send.command is not None else EVENT
        body = body_of(send)
        while True:
            status = await self.ingest.post(route, send.source, body)
            if status == 202:
                self.answers.taken.append(send)
                return
            if status == 422:
                self.answers.refused.append(send)
                return
            self.story.count("posts repeated")
            await asyncio.sleep(0.2 + self.rng.random())

    async def _quiet(self) -> None:
        """Until all that was said is judged and told, and nothing has been written for a while; with a deadline."""
        until = self.loop.time() + 60 + 4 * ROUND_S  # one round may follow another: a reviewer confirms what has waited
        still, before = 0, -1
        while still < 3:
            await asyncio.sleep(1.0)
            size = sum(len(log.entries) for log in self.broker.logs.values())
            waits = self.waits()
            still = still + 1 if size == before and not waits else 0
            before = size
            if self.loop.time() > until:
                self.unquiet = waits or ["something is written without an end"]
                self.story.say("world", "is not quiet: " + "; ".join(self.unquiet))
                return

    def waits(self) -> list[str]:
        """What is not done yet."""
        found: list[str] = []
        serving: dict[int, int] = {}
        for matcher in self.matchers:
            if matcher.up and matcher.ownership is not None:
                for partition, lane in matcher.ownership._lanes.items():
                    if lane.serving and not lane.is_busy:
                        serving[partition] = lane.progress.custody
                        if lane.state.rounds:
                            found.append(f"partition {partition} waits for the tallies to go round")
        for partition in range(TOPICS[CUSTODY_TOPIC]):
            read = self.broker.logs[CUSTODY_TOPIC, partition].read(0, 1 << 60)[0]
            if partition not in serving:
                found.append(f"partition {partition} is not served")
            elif read and serving[partition] <= read[-1].offset:
                found.append(f"partition {partition} has events that are not judged")
        taken = [n.taken() for n in self.notifiers if n.up]
        for partition in range(TOPICS[CONFLICTS_TOPIC]):
            end = self.broker.logs[CONFLICTS_TOPIC, partition].end()
            if not any(positions.get(partition, -1) >= end for positions in taken):
                found.append(f"conflicts {partition} are not all taken by a notifier")
        tables = self.database.tables
        living = {name for name, s in tables.subscriptions.items() if s["status"] == "active"}
        waiting = [d for d in tables.deliveries.values() if d["status"] == "pending" and d["subscription_id"] in living]
        found += [f"delivery of {d['notice_id'][:8]} waits" for d in waiting]
        return found

    def happened(self) -> Counter[str]:
        """How often what happened."""
        counts = Counter(self.story.counts)
        counts["steps"] = self.loop.steps
        for what, n in self.broker.counts.items():
            counts[f"transactions {what}"] = n
        for group in self.broker.groups.values():
            counts["rebalances"] += group.rebalances
            counts["sessions expired"] += group.expired
        for name, server in (("kafka", self.broker), ("postgres", self.database)):
            counts[f"{name}: requests lost"] += server.lost_requests
            counts[f"{name}: answers lost"] += server.lost_answers
        counts["ledger transactions rolled back"] = self.database.counts["rolled back"]
        counts["receipts"] = len(self.receiver.receipts)
        counts["receipts, repeated"] = len(self.receiver.receipts) - len(set(self.receiver.receipts))
        return counts

    def _subscribe(self) -> None:
        """Who is told: every agency over one endpoint or two, and some facilities."""
        told = [office.code for office in self.history.offices]
        told += [place.code for place in self.history.places if self.rng.random() < 0.5]
        for agency in told:
            for channel in self.rng.choice(
                (["webhook"], ["webhook"], ["webhook", "webhook"], ["webhook", "email"], [])
            ):
                name = f"sub_{len(self.database.tables.subscriptions) + 1}"
                self.database.tables.subscriptions[name] = {
                    "subscription_id": name,
                    "agency": agency,
                    "channel": channel,
                    "target": f"{channel} of {agency} ({name})",
                    "status": "active",
                    "failures_in_a_row": 0,
                    "resting_until": None,
                }

    def _committed(self, transaction: Transaction) -> None:
        who = transaction.id.replace(GROUP, "partition")
        for key in sorted(transaction.opened):
            if key[0] in ("conflicts.v1", "reviews.v1", "breakers.v1"):
                for entry in self.broker.logs[key].entries[transaction.opened[key] :]:
                    if entry.transaction is transaction and entry.value is not None:
                        self.published.append((key[0], entry.value))
                        self.story.say(who, Told(key[0], entry.value))
                        self.story.count(f"versions on {key[0]}")
            if key[0] == REJECTS_TOPIC:
                for entry in self.broker.logs[key].entries[transaction.opened[key] :]:
                    if entry.transaction is transaction and EPISODE_TOO_LARGE.encode() in (entry.value or b""):
                        self.story.say(who, "refuses a fact: its episode is too large")
                        self.story.count("facts for which there was no room")
