"""What a partition has to look at again when time has passed: a queue of instants, by pair or by episode."""

from __future__ import annotations

import heapq
from datetime import datetime

__all__ = ["TimerKey", "Timers"]

TimerKey = tuple[str, str]
"""(episode id, detainer id) of a pair, (episode id, "") of an episode itself, ("", facility) of a feed."""


class Timers:
    """At most one instant for each key. Setting one anew replaces it; the heap forgets the old one when it comes up."""

    def __init__(self) -> None:
        self._at: dict[TimerKey, datetime] = {}
        self._heap: list[tuple[datetime, TimerKey]] = []

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: TimerKey, at: datetime | None) -> None:
        """Look at `key` again at `at`; None: not at all."""
        if at is None:
            self._at.pop(key, None)
        elif self._at.get(key) != at:
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))
            if len(self._heap) > 64 and len(self._heap) > 4 * len(self._at):
                self._heap = [(when, name) for name, when in self._at.items()]
                heapq.heapify(self._heap)

    def next(self) -> datetime | None:
        """The earliest instant; None if there is none."""
        while self._heap:
            at, key = self._heap[0]
            if self._at.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def pop(self, now: datetime) -> TimerKey | None:
        """A key whose instant has come, taken out; None if there is none. Of two at one instant the smaller key."""
        at = self.next()
        if at is None or at > now:
            return None
        key = heapq.heappop(self._heap)[1]
        del self._at[key]
        return key
