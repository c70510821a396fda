"""What a matcher holds, as metrics: feeds, breakers, partitions, indexes. Looked at every few seconds.

Set anew as a whole each time: what went to another instance with its partition must not stay here as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from services.matcher.domain.ground import Ground
from services.matcher.domain.partition import PartitionState
from services.matcher.metrics import (
    BREAKERS_WAITING,
    EPISODES,
    FEED_GAP,
    FEED_HEARD,
    FEED_IN_CUSTODY,
    FEED_SILENT,
    HELD,
    INDEX_BYTES,
    INDEX_RECORDS,
    PARTITIONS,
)

__all__ = ["Gauges"]


class Gauges:
    """states: partition -> its episodes, of the lanes that serve. owned: every partition assigned, restored or not."""

    def __init__(
        self,
        ground: Ground,
        *,
        states: Callable[[], Mapping[int, PartitionState]],
        owned: Callable[[], list[int]],
        interval_s: float,
    ) -> None:
        self._ground = ground
        self._states = states
        self._owned = owned
        self._interval_s = interval_s

    async def run(self) -> None:
        """Look, for ever; cancelled at the end."""
        while True:
            self.look()
            await asyncio.sleep(self._interval_s)

    def look(self) -> None:
        """Set every gauge. Some 20 µs a facility, and no await: a scrape sees all of it or nothing."""
        states = self._states()
        PARTITIONS.labels("assigned").set(len(self._owned()))
        PARTITIONS.labels("restored").set(len(states))
        for gauge in (EPISODES, HELD, BREAKERS_WAITING, FEED_GAP, FEED_HEARD, FEED_IN_CUSTODY, FEED_SILENT):
            gauge.clear()
        for partition, state in states.items():
            EPISODES.labels(str(partition)).set(len(state.episodes))
            HELD.labels(str(partition)).set(len(state.held))
            self._feeds(state)
        for facility, count in self._ground.breakers.waiting().items():
            BREAKERS_WAITING.labels(facility).set(count)
        detainers = self._ground.detainers.index
        indexes = [state.index for state in states.values()]
        INDEX_RECORDS.labels("detainers").set(len(detainers))
        INDEX_BYTES.labels("detainers").set(detainers.size)
        INDEX_RECORDS.labels("episodes").set(sum(map(len, indexes)))
        INDEX_BYTES.labels("episodes").set(sum(index.size for index in indexes))

    def _feeds(self, state: PartitionState) -> None:
        for facility, watch in state.watched.items():
            heard_at, usual = watch.rhythm.heard_at, watch.rhythm.usual_gap()
            if heard_at is None or not state.is_steward(facility):
                continue
            FEED_HEARD.labels(facility).set(heard_at.timestamp())
            FEED_SILENT.labels(facility).set(watch.silent)
            if usual is not None:
                FEED_GAP.labels(facility).set(usual.total_seconds())
            tallies = self._ground.feeds.tallies(facility)
            FEED_IN_CUSTODY.labels(facility).set(sum(tally.in_custody for tally in tallies))
