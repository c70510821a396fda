"""What waits to be judged by one partition, and in which order it is taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from aiokafka import ConsumerRecord

from services.matcher.adapters.broadcasts import Broadcast, Key
from services.matcher.adapters.changelog import Progress
from services.matcher.domain.inputs import Input, ModelInput, Tick
from services.matcher.domain.partition import PartitionState

__all__ = ["Inbox"]


class Inbox:
    """Custody events, changes of what every instance reads whole, and episodes that another identity model judged.

    due: whether a timer of the partition has run out.
    """

    def __init__(self, wholes: Sequence[Broadcast], due: Callable[[], bool]) -> None:
        self._wholes = {whole.name: whole for whole in wholes}
        self._due = due
        self.events: deque[ConsumerRecord] = deque()
        self.stale: deque[str] = deque()
        self._changes: dict[str, dict[Key, None]] = {whole.name: {} for whole in wholes}
        self._judged: dict[str, dict[int, int]] = {whole.name: {} for whole in wholes}

    def restart(
        self, state: PartitionState, progress: Progress, position: Mapping[str, Mapping[int, int]], model: str
    ) -> None:
        """Begin anew behind `progress`: no events, and all that the partition has not been judged against.

        position: name of a broadcast -> partition -> next offset that is not in its book yet. model: that of now.
        """
        self.events.clear()
        for name, whole in self._wholes.items():
            seen = {int(p): offset for p, offset in progress.seen.get(name, {}).items()}
            self._changes[name] = dict.fromkeys(key for key in whole.since(seen) if whole.concerns(key, state))
            self._judged[name] = {**seen, **position.get(name, {})}
        self.stale = deque(state.judged_by_others(progress.model))

    def change(self, name: str, keys: Sequence[Key], positions: Mapping[int, int], state: PartitionState) -> bool:
        """What has changed in the book of the broadcast `name`, which is read up to `positions` now; False if it is
        nothing to the partition."""
        whole = self._wholes[name]
        mine = dict.fromkeys(key for key in keys if whole.concerns(key, state))
        self._changes[name].update(mine)
        if whole.counted:
            self._judged[name].update(positions)
        return bool(mine) or whole.counted

    @property
    def is_empty(self) -> bool:
        """Nothing waits but, perhaps, for a timer to run out."""
        return not self.events and not self.stale and not any(self._changes.values())

    def take(self, turn: int) -> ConsumerRecord | Input | None:
        """What is judged next: custody events and changes take turns, so that neither a bulk of new detainers nor a
        backlog of events holds the other up; timers, and what another model judged, come behind both, and beside them
        where they never end. The order does not matter to what comes of it (G2).
        """
        name = next((name for name, keys in self._changes.items() if keys), None)
        quiet = not self.events and name is None
        if (quiet or turn % 10 == 8) and self._due():
            return Tick()
        if self.stale and (quiet or turn % 10 == 9):
            return ModelInput(self.stale.popleft())
        if self.events and (turn % 2 == 0 or name is None):
            return self.events.popleft()
        if name is not None:
            key = next(iter(self._changes[name]))
            del self._changes[name][key]
            return self._wholes[name].as_input(key)
        return None

    def progress(self, before: Progress, custody: int, model: str, clock: datetime) -> Progress:
        """How far the partition is, having been so far `before`. While changes wait it has not been judged against all
        of them, so that it stays behind there."""
        seen = {
            name: before.seen.get(name, {}) if waiting else {str(p): o for p, o in self._judged[name].items()}
            for name, waiting in self._changes.items()
        }
        return Progress(custody, seen, before.model if self.stale else model, clock)
