"""A breaker for tests, with times around one noon."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.types.feed import Breaker, BreakerState
from tests.unit.matcher.people import FACILITY, at

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
NOON = at(12)
BREAKER = f"brk_{'a' * 24}"


def breaker(
    state: BreakerState = BreakerState.TRIPPED,
    since: datetime = NOON,
    decided_at: datetime | None = None,
    name: str = BREAKER,
) -> Breaker:
    return Breaker(
        breaker_id=name,
        facility=FACILITY,
        state=state,
        since=since,
        tripped_at=since + MINUTE,
        releases=20,
        population=40,
        window_s=3600,
        decided_at=decided_at,
        decided_by="operator" if decided_at else None,
    )
