"""What has to be true of a feed that releases everybody at once (rule 19)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from contracts.types.conflict import Conflict
from contracts.types.feed import Breaker, BreakerState
from tests.simulation.matcher import CUSTODY_TOPIC

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["stopped_in_time"]

_ON_EACH: Final = 3
"""Releases that a partition tells by itself: three of ten is its part, and none here has 64 people."""


def stopped_in_time(world: World) -> Iterator[tuple[str, str]]:
    """Of a burst that ends at a breaker, only so many are told before the operator decides. Counted are those of whom
    one release is known, and nothing else that happened."""
    most = _ON_EACH * world.broker.partitions[CUSTODY_TOPIC]
    told: dict[str, Conflict] = {}
    tripped: dict[str, Breaker] = {}
    for topic, value in world.published:
        if topic == "conflicts.v1":
            conflict = msgspec.json.decode(value, type=Conflict)
            told[conflict.episode.episode_id] = conflict
        elif topic == "breakers.v1":
            breaker = msgspec.json.decode(value, type=Breaker)
            if breaker.state is not BreakerState.TRIPPED:
                break  # what is told from now on is what the operator says of it, or is new
            tripped[breaker.facility] = breaker
    for breaker in tripped.values():
        burst = sum(_is_of(conflict, breaker) for conflict in told.values())
        if burst > most:
            yield "rule 19", f"{burst} releases at {breaker.facility} are told before it is decided on; {most} may be"


def _is_of(conflict: Conflict, breaker: Breaker) -> bool:
    place, release = conflict.episode, conflict.release
    if place.facility != breaker.facility or not place.booking_number.startswith("M-"):
        return False
    return release is not None and release.released_at is not None and release.released_at >= breaker.since
