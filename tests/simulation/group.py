"""A consumer group, as its coordinator keeps it: members, generations, sessions, offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aiokafka.errors import IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError

if TYPE_CHECKING:
    from tests.simulation.kafka import Broker

__all__ = ["REBALANCE_S", "SESSION_S", "Group"]

SESSION_S: Final = 6.0
REBALANCE_S: Final = 6.0
_GATHER_S: Final = 0.2
Key = tuple[str, int]
Joined = tuple[int, list[Key]]


class _Member:
    __slots__ = ("heard_at", "joining", "partitions")

    def __init__(self, heard_at: float) -> None:
        self.heard_at = heard_at
        self.joining: asyncio.Future[Joined] | None = None
        self.partitions: list[Key] = []


class Group:
    """One topic's group. Eager rebalances: everybody gives up what he has, then it is dealt anew."""

    def __init__(self, broker: Broker, name: str, keys: Sequence[Key]) -> None:
        self._broker = broker
        self._loop = broker.loop
        self._name = name
        self._keys = list(keys)
        self._members: dict[str, _Member] = {}
        self._generation = 0
        self._preparing: int | None = None
        self._prepared = 0
        self.offsets: dict[Key, int] = {}
        self.rebalances = 0
        self.expired = 0

    # -- requests ------------------------------------------------------------------------------------------------------

    def join(self, name: str) -> asyncio.Future[Joined]:
        """Answered when all have joined, or those who have not are given up."""
        member = self._members.get(name)
        if member is None:
            member = self._members[name] = _Member(self._loop.time())
            self._loop.call_later(SESSION_S, self._look, name, context=self._broker.process.context)
        if member.joining is not None and not member.joining.done():
            member.joining.cancel()
        member.joining = self._loop.create_future()
        member.heard_at = self._loop.time()
        if self._preparing is None:
            self._prepare()
        return member.joining

    def heartbeat(self, name: str, generation: int) -> None:
        """Raises when there is a rebalance, or the member is none any more."""
        member = self._known(name, generation)
        member.heard_at = self._loop.time()
        if self._preparing is not None:
            raise RebalanceInProgressError

    def leave(self, name: str) -> None:
        if self._members.pop(name, None) is not None:
            self._prepare()

    def commit(self, name: str, generation: int, offsets: Mapping[Key, int]) -> None:
        self._known(name, generation)
        if self._preparing is not None:
            raise RebalanceInProgressError
        self.offsets.update(offsets)

    def committed(self, keys: Sequence[Key]) -> dict[Key, int]:
        return {key: self.offsets.get(key, 0) for key in keys}

    # ------------------------------------------------------------------------------------------------------------------

    def _known(self, name: str, generation: int) -> _Member:
        member = self._members.get(name)
        if member is None:
            raise UnknownMemberIdError
        if generation != self._generation:
            raise IllegalGenerationError
        return member

    def _look(self, name: str) -> None:
        """Give up who has not been heard of."""
        member = self._members.get(name)
        if member is None:
            return
        now = self._loop.time()
        if self._broker.away or (member.joining is not None and not member.joining.done()):
            member.heard_at = now  # nobody could be heard; or he waits for us
        if now - member.heard_at >= SESSION_S - 1e-9:
            self.expired += 1
            self._broker.on_event(f"group {self._name}: {name} was not heard of for {SESSION_S:g} s and is given up")
            self.leave(name)
            return
        self._loop.call_later(member.heard_at + SESSION_S - now, self._look, name, context=self._broker.process.context)

    def _prepare(self) -> None:
        self._prepared += 1
        self._preparing = self._prepared
        context = self._broker.process.context
        self._loop.call_later(_GATHER_S, self._complete, self._prepared, False, context=context)
        self._loop.call_later(REBALANCE_S, self._complete, self._prepared, True, context=context)

    def _complete(self, number: int, late: bool) -> None:
        if self._preparing != number:
            return
        waiting = [name for name, m in self._members.items() if m.joining is None or m.joining.done()]
        if waiting and not late:
            self._loop.call_later(0.05, self._complete, number, False, context=self._broker.process.context)
            return
        for name in waiting:
            self._broker.on_event(f"group {self._name}: {name} did not join in time and is given up")
            self.expired += 1
            del self._members[name]
        self._preparing = None
        if not self._members:
            return
        self._generation += 1
        self.rebalances += 1
        names = sorted(self._members)
        dealt: dict[str, list[Key]] = {name: [] for name in names}
        for index, key in enumerate(self._keys):
            dealt[names[index % len(names)]].append(key)
        said = "; ".join(f"{p} -> {n}" for n in names for _, p in dealt[n])
        self._broker.on_event(f"group {self._name}, generation {self._generation}: {said}")
        for name, member in self._members.items():
            member.heard_at = self._loop.time()
            member.partitions = dealt[name]
            assert member.joining is not None
            member.joining.set_result((self._generation, dealt[name]))
