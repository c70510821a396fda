"""A service of the simulation: a process that starts, falls, and is started again with an empty memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from services.platform.errors import Unavailable
from services.platform.kafka.lanes import InDoubt, NotTaken
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["LEAP_S", "Service", "is_stormy"]

LEAP_S: Final = 60.0
"""A clock that is off by more than this has leapt: it is not believed."""
_TROUBLE: Final = (KafkaError, Unavailable, NotTaken, InDoubt, OSError, TimeoutError)
"""What a process may end with: a broker or a database that was away for too long. Its supervisor starts it again."""


def is_stormy(seed: int) -> bool:
    """Every fourth history has many faults."""
    return seed % 4 == 3


class Service:
    """One instance by name. `main` is what its process does; subclasses say it. skew_s: how far its clock is off."""

    def __init__(self, world: World, name: str, rng: Random) -> None:
        self.world = world
        self.name = name
        self.rng = rng
        self.process: Process | None = None
        self.skew_s = 0.0
        self.incarnation = 0

    def now(self) -> datetime:
        """What this machine's clock says."""
        return self.world.now() + timedelta(seconds=self.skew_s)

    @property
    def up(self) -> bool:
        return self.process is not None and not self.process.dead

    def start(self) -> None:
        """A new process, which knows nothing of the one before."""
        if self.up:
            return
        self.incarnation += 1
        self.skew_s = self.skew_s if abs(self.skew_s) <= LEAP_S else 0.0  # ADR 13: nobody starts with such a clock
        self.process = process = self.world.loop.process(self.name)
        process.on_kill = self.gone
        self.world.story.say(self.name, "starts")
        main = self.main()
        self.world.loop.spawn(process, self._guarded(main, process), main)

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None and self.up:
            self.process.held = False
            self.world.loop.kill(self.process)

    async def main(self) -> None:
        raise NotImplementedError

    def gone(self) -> None:
        """The process is no more; nothing else of it remains."""

    def spawn(self, coroutine: Coroutine[Any, Any, None], _name: str = "") -> asyncio.Task[None]:
        """services.platform.service.Stop.spawn: what it raises ends the process."""
        assert self.process is not None
        return self.world.loop.spawn(self.process, self._guarded(coroutine, self.process), coroutine)

    async def _guarded(self, coroutine: Coroutine[Any, Any, None], process: Process) -> None:
        try:
            await coroutine
        except _TROUBLE as error:
            self.world.story.say(self.name, f"ends: {type(error).__name__}")
            self.world.story.count("ended by trouble")
        except Exception as error:
            if not self.world.loop.closing:
                self.world.failed(self.name, error)
        else:
            return
        if not process.dead and not self.world.loop.closing:
            self.world.loop.kill(process)
            self.world.later(self.rng.uniform(0.3, 2.0), self.start)
