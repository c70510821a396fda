"""Where the real code makes its own clients, reads the clock of the machine or writes a log, the world is put in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, tzinfo
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from uuid import UUID

from services.matcher.adapters import writer
from services.matcher.domain import episode
from services.notifier.adapters import dispatcher, intake, taking
from services.notifier.adapters import lane as notifier_lane
from tests.simulation.clients import Consumer, Producer
from tests.simulation.loop import current_process

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["installed"]

_TALKING = ("services.ingest.adapters.", "services.matcher.adapters.", "services.notifier.adapters.")


class _StoryLog:
    """The services' own log lines, told in the story."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self, event: str, **more: object) -> None:
        self._world.story.say(current_process().name, event, **more)

    warning = error = debug = info


def _datetime_of(world: World) -> Any:
    """datetime.datetime whose `now` is the clock of whoever asks."""

    class Datetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return world.clock_of(current_process())

    return Datetime


@contextmanager
def installed(world: World) -> Iterator[None]:
    """The real modules talk to `world` meanwhile."""
    broker = world.broker

    def make_producer(_settings: Any, *, transactional_id: str, **_options: Any) -> Producer:
        return Producer(broker, transactional_id)

    def make_consumer(_settings: Any, isolation_level: str = "read_committed", **_options: Any) -> Consumer:
        return Consumer(broker, committed=isolation_level == "read_committed")

    log = _StoryLog(world)
    clock = _datetime_of(world)
    steady = SimpleNamespace(monotonic=world.steady, perf_counter=world.steady)
    chance = Random(f"{world.history.seed} chance")
    ids = SimpleNamespace(uuid4=lambda: UUID(int=chance.getrandbits(128)), UUID=UUID)
    with ExitStack() as stack:
        stack.enter_context(patch.object(writer, "make_producer", make_producer))
        stack.enter_context(patch.object(writer, "make_consumer", make_consumer))
        for module in (dispatcher, intake, notifier_lane, taking):
            stack.enter_context(patch.object(module, "datetime", clock))
        for module in (dispatcher, notifier_lane):
            stack.enter_context(patch.object(module, "time", steady))
        stack.enter_context(patch.object(notifier_lane, "uuid", ids))
        stack.enter_context(patch.object(dispatcher, "random", chance))
        stack.enter_context(patch.object(dispatcher, "_SWEEP_S", 4.0))
        stack.enter_context(patch.object(episode, "ROOM", 10_000))
        stack.enter_context(patch.object(episode, "ROOM_WITH_RESERVE", 20_000))
        for name, module in list(sys.modules.items()):
            if name.startswith(_TALKING) and hasattr(module, "log"):
                stack.enter_context(patch.object(module, "log", log))
        yield
