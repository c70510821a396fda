"""What time it is, for whoever runs the fold: a domain has no clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    def now(self) -> datetime:
        """The time of day, in UTC."""

    def elapsed(self) -> float:
        """Seconds since some moment; never goes back."""


class SystemClock:
    """The clock of this machine, as long as it runs evenly.

    A partition's clock never goes back, so that one leap ahead would run out every timer for good. A time of day that
    leaves the steady count of seconds by more than `limit_s` is not believed: the time before the leap is counted on,
    and `check` says so, until the clock has come back or the process is started anew.
    """

    def __init__(
        self,
        limit_s: float,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = timedelta(seconds=limit_s)
        self._wall = wall
        self._steady = steady
        self._at = (wall(), steady())
        self._leap = timedelta(0)

    def now(self) -> datetime:
        wall, steady = self._wall(), self._steady()
        expected = self._at[0] + timedelta(seconds=steady - self._at[1])
        self._leap = wall - expected
        if abs(self._leap) > self._limit:
            return expected
        self._at = (wall, steady)  # a clock that is being set right step by step is followed
        return wall

    def elapsed(self) -> float:
        return time.perf_counter()

    def check(self) -> str | None:
        """For Health.ready."""
        self.now()
        if abs(self._leap) <= self._limit:
            return None
        return f"the clock of this machine leapt by {self._leap.total_seconds():.0f} s"
