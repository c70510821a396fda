"""What befalls a history, all of it drawn from the seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from contracts.ids import episode_id
from tests.simulation.loop import Process
from tests.simulation.matcher import CUSTODY_TOPIC, Matcher
from tests.simulation.net import Server
from tests.simulation.service import LEAP_S, Service, is_stormy

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["Faults"]

POISON: Final[tuple[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]], ...]] = (
    (b"x", b"\xff\xfe not json", ()),
    (b"x", b'{"kind":"released"}', (("ce_id", b"\xff\xfe"),)),
    (None, b"", ()),
    (b"x", None, ()),
    (
        episode_id("CTHRTFD00", "B-1").encode(),
        b'{"kind":"died","facility":"CTHRTFD00","booking_number":"ANOTHER","occurred_at":"2020-01-01T00:00:00Z"}',
        (
            ("ce_specversion", b"1.0"),
            ("ce_id", b"poison"),
            ("ce_source", b"poison"),
            ("ce_type", b"sallyport.custody.died.v1"),
            ("ce_time", b"2020-01-01T00:00:00Z"),
            ("ce_acceptedtime", b"2020-01-01T00:00:00Z"),
        ),
    ),
)


class Faults:
    """`befall` while things are being said, then everything is made whole; `at_a_moment` when the clock is turned."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._kinds: list[tuple[Callable[[], None], float]] = [
            (self._kill, 3),
            (self._kill_at_a_step, 5),
            (self._stop, 2),
            (self._hold, 3),
            (self._broker_away, 1.5),
            (self._lossy, 2),
            (self._slow, 1),
            (self._poison, 1),
            (self._skew, 1),
            (self._kill_ingest, 2),
            (self._kill_notifier, 3),
            (self._hold_notifier, 1),
            (self._database_away, 1.5),
            (self._database_lossy, 1.5),
            (self._bad_receivers, 3),
            (self._endpoint_gone, 0.5),
        ]
        self.poisoned: list[tuple[str, int, int, bytes]] = []
        self._over = False
        world.loop.on_kill_at = self._fallen

    async def befall(self, span_s: float) -> None:
        """Some faults within `span_s` seconds; returns when they are over and everybody is up again."""
        rng = self._rng
        count = rng.choice((8, 12, 16) if is_stormy(self._world.history.seed) else (0, 1, 2, 3, 4, 6))
        weights = [weight for _, weight in self._kinds]
        begun = self._world.loop.time()
        for at in sorted(rng.uniform(0, span_s + 3) for _ in range(count)):
            await asyncio.sleep(max(0.0, begun + at - self._world.loop.time()))
            rng.choices(self._kinds, weights)[0][0]()
        await asyncio.sleep(max(0.0, begun + span_s - self._world.loop.time()))
        self._make_whole()

    async def at_a_moment(self) -> None:
        """Timers run out: now and then somebody falls in the middle of it."""
        if self._rng.random() < 0.3:
            await asyncio.sleep(self._rng.random() * 2)
            self._kill_at_a_step()
            await asyncio.sleep(2)
            for service in self._services():
                if service.process is not None:
                    service.process.kill_at = None

    def at_a_decision(self) -> None:
        """Somebody decides: in a storm, now and then while nobody serves."""
        if not self._over and is_stormy(self._world.history.seed) and self._rng.random() < 0.3:
            for victim in self._world.matchers:
                if victim.up:
                    self._world.story.say(victim.name, "is killed")
                    self._world.story.count("kills of matcher")
                    victim.kill()
                    self._restart(victim)

    def _make_whole(self) -> None:
        world = self._world
        self._over = True
        for server in (world.broker, world.database):
            server.away, server.lossy, server.slow = False, 0.0, 1.0
        world.receiver.bad = 0.0
        for service in self._services():
            if service.process is not None:
                service.process.kill_at = None
                self._wake(service)
            if not service.up:
                service.start()
        world.story.say("world", "faults are over")

    # -- who -----------------------------------------------------------------------------------------------------------

    def _services(self) -> list[Service]:
        return self._world.services

    def _matcher(self) -> Matcher:
        return self._rng.choice(self._world.matchers)

    def _restart(self, service: Service) -> None:
        self._world.later(self._rng.choice((0.1, 1.0, 4.0, 15.0)) * (0.5 + self._rng.random()), service.start)

    # -- what ----------------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        victim = self._matcher()
        if victim.up:
            self._world.story.say(victim.name, "is killed")
            self._world.story.count("kills of matcher")
            victim.kill()
            self._restart(victim)

    def _kill_at_a_step(self) -> None:
        """At some await, soon: most are within a transaction or a restore."""
        self._falls_soon(self._matcher(), 60)

    def _falls_soon(self, victim: Service, steps: float) -> None:
        if victim.process is not None and victim.up:
            victim.process.kill_at = victim.process.steps + 1 + int(self._rng.expovariate(1 / steps))

    def _fallen(self, process: Process) -> None:
        self._world.story.say(process.name, f"is killed, before its step {process.steps}")
        self._world.story.count(f"kills of {process.name.partition('-')[0]} at a step")
        self._world.loop.kill(process)
        for service in self._services():
            if service.process is process:
                self._restart(service)

    def _stop(self) -> None:
        victim = self._matcher()
        if victim.up and victim.process is not None:
            self._world.story.say(victim.name, "is told to stop")
            self._world.story.count("stops")
            self._world.loop.spawn(victim.process, victim.stop())

    def _kill_ingest(self) -> None:
        self._kill_or_let_fall(self._world.ingest, 10)

    def _kill_notifier(self) -> None:
        self._kill_or_let_fall(self._rng.choice(self._world.notifiers), 40)

    def _kill_or_let_fall(self, victim: Service, steps: float) -> None:
        if self._rng.random() < 0.5:
            self._falls_soon(victim, steps)
        elif victim.up:
            self._world.story.say(victim.name, "is killed")
            self._world.story.count(f"kills of {victim.name.partition('-')[0]}")
            victim.kill()
            self._restart(victim)

    def _hold_notifier(self) -> None:
        self._hold_one(self._rng.choice(self._world.notifiers))

    def _hold(self) -> None:
        """SIGSTOP, mostly for longer than its session, and SIGCONT."""
        self._hold_one(self._matcher())

    def _hold_one(self, victim: Service) -> None:
        if victim.up and victim.process is not None and not victim.process.held:
            seconds = self._rng.choice((0.5, 3.0, 9.0, 16.0)) * (0.7 + 0.6 * self._rng.random())
            self._world.story.say(victim.name, f"is held for {seconds:.1f} s")
            self._world.story.count("holds")
            victim.process.held = True
            self._world.later(seconds, lambda: self._wake(victim))

    def _wake(self, victim: Service) -> None:
        if victim.process is not None and victim.process.held:
            victim.process.held = False
            self._world.story.say(victim.name, "wakes")

    def _broker_away(self) -> None:
        self._away(self._world.broker)

    def _database_away(self) -> None:
        self._away(self._world.database)

    def _away(self, server: Server) -> None:
        seconds = self._rng.choice((0.3, 2.0, 7.0)) * (0.7 + 0.6 * self._rng.random())
        name = server.process.name
        self._world.story.say(name, f"is away for {seconds:.1f} s")
        self._world.story.count(f"{name} away")
        server.away = True

        def back() -> None:
            server.away = False
            self._world.story.say(name, "is back")

        self._world.later(seconds, back)

    def _lossy(self) -> None:
        self._loses(self._world.broker)

    def _database_lossy(self) -> None:
        self._loses(self._world.database)

    def _loses(self, server: Server) -> None:
        server.lossy = self._rng.choice((0.05, 0.2, 0.4))
        name = server.process.name
        self._world.story.say(name, f"loses {server.lossy:.0%} of requests and of answers")
        self._world.story.count(f"lossy {name}")

        def mended() -> None:
            server.lossy = 0.0
            self._world.story.say(name, "loses nothing any more")

        self._world.later(1 + 4 * self._rng.random(), mended)

    def _slow(self) -> None:
        server = self._rng.choice((self._world.broker, self._world.database))
        server.slow = self._rng.choice((10.0, 100.0))
        self._world.story.count("slow networks")

        def mended() -> None:
            server.slow = 1.0

        self._world.later(1 + 4 * self._rng.random(), mended)

    def _bad_receivers(self) -> None:
        self._world.receiver.bad = self._rng.choice((0.3, 0.6, 1.0))
        self._world.story.say("receiver", f"{self._world.receiver.bad:.0%} of attempts go wrong from now on")
        self._world.story.count("bad receivers")

    def _endpoint_gone(self) -> None:
        targets = sorted(s["target"] for s in self._world.database.tables.subscriptions.values())
        if targets:
            target = self._rng.choice(targets)
            self._world.receiver.gone.add(target)
            self._world.story.say("receiver", f"{target} is gone for good (410)")
            self._world.story.count("endpoints gone")

    def _poison(self) -> None:
        broker = self._world.broker
        topic = self._rng.choice((CUSTODY_TOPIC, CUSTODY_TOPIC, "detainers.v1"))
        partition = self._rng.randrange(broker.partitions[topic])
        key, value, headers = self._rng.choice(POISON)
        if topic == "detainers.v1" and value is None:
            return  # a tombstone, which is no poison there
        offset = broker.append((topic, partition), [(key, value, headers)])
        self.poisoned.append((topic, partition, offset, value or b""))
        self._world.story.say("somebody", f"writes rubbish to {topic}/{partition} at {offset}")
        self._world.story.count("poison")

    def _skew(self) -> None:
        victim = self._matcher()
        victim.skew_s = self._rng.choice((-40.0, -5.0, 5.0, 40.0, 5000.0))
        self._world.story.say(victim.name, f"has a clock that is off by {victim.skew_s:g} s")
        self._world.story.count("skewed clocks")
        if abs(victim.skew_s) > LEAP_S:

            def set_right() -> None:
                victim.skew_s = 0.0

            self._world.later(self._rng.random() * 5, set_right)
