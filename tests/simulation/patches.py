"""Where the real code makes its own clients, reads the clock of the machine or writes a log, the world is put in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from services.matcher.adapters import lane, ownership, writer
from tests.simulation.clients import Consumer, Producer
from tests.simulation.loop import current_process

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["installed"]


class _StoryLog:
    """The services' own log lines, told in the story."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self, event: str, **more: object) -> None:
        self._world.story.say(current_process().name, event, **more)

    warning = error = debug = info


@contextmanager
def installed(world: World) -> Iterator[None]:
    """The real modules talk to `world` meanwhile."""
    broker = world.broker

    def make_producer(_settings: Any, *, transactional_id: str, **_options: Any) -> Producer:
        return Producer(broker, transactional_id)

    def make_consumer(_settings: Any, isolation_level: str = "read_committed", **_options: Any) -> Consumer:
        return Consumer(broker, committed=isolation_level == "read_committed")

    log = _StoryLog(world)
    with ExitStack() as stack:
        stack.enter_context(patch.object(writer, "make_producer", make_producer))
        stack.enter_context(patch.object(writer, "make_consumer", make_consumer))
        for module in (lane, ownership):
            stack.enter_context(patch.object(module, "log", log))
        yield
