"""What the ledger holds, as metrics: endpoints and release notices. Looked at every few seconds, by every instance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.notifier.adapters.postgres.watching import endpoints, releases
from services.notifier.metrics import (
    ENDPOINT_ATTEMPTS,
    ENDPOINT_FAILURES,
    ENDPOINT_IN_FLIGHT,
    ENDPOINT_OLDEST,
    ENDPOINT_STATE,
    ENDPOINT_WAITING,
    RELEASES_OLDEST,
    RELEASES_OPEN,
)
from services.platform.logs import get_logger

__all__ = ["Gauges"]

log = get_logger(__name__)
_WINDOW: Final = timedelta(days=7)
"""For so long an unanswered release notice is counted; a delivery that was never taken is given up after as long."""


class Gauges:
    """See the module. `run` ends only when cancelled. What the gauges say while the ledger is away is of before."""

    def __init__(self, pool: Callable[[], Pool], interval_s: float) -> None:
        self._pool = pool
        self._interval_s = interval_s
        self._away: str | None = None

    def check(self) -> str | None:
        """For Health.ready: whether the ledger answered the last look."""
        return self._away

    async def run(self) -> None:
        while True:
            try:
                await self.look(datetime.now(UTC))
                self._away = None
            except AWAY as error:
                self._away = f"database away: {type(error).__name__}"
                log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(self._interval_s)

    async def look(self, now: datetime) -> None:
        """Set every gauge anew, from what was read before: a scrape sees all of it or nothing."""
        pool = self._pool()
        found = await endpoints(pool, now)
        open_releases = await releases(pool, now, now - _WINDOW)
        for gauge in (
            ENDPOINT_STATE,
            ENDPOINT_FAILURES,
            ENDPOINT_IN_FLIGHT,
            ENDPOINT_WAITING,
            ENDPOINT_OLDEST,
            RELEASES_OPEN,
            RELEASES_OLDEST,
        ):
            gauge.clear()
        for endpoint in found:
            name = (endpoint.agency, endpoint.subscription_id)
            for outcome in ("delivered", "failed"):  # from 0 on: the first one would not show as an increase
                ENDPOINT_ATTEMPTS.labels(*name, outcome)
            ENDPOINT_STATE.labels(*name, endpoint.channel, endpoint.state).set(1)
            ENDPOINT_FAILURES.labels(*name).set(endpoint.failures_in_a_row)
            ENDPOINT_IN_FLIGHT.labels(*name).set(endpoint.in_flight)
            ENDPOINT_WAITING.labels(*name).set(endpoint.waiting)
            ENDPOINT_OLDEST.labels(*name).set(endpoint.oldest_s)
        for group in open_releases:
            RELEASES_OPEN.labels(group.agency, group.status).set(group.count)
            RELEASES_OLDEST.labels(group.agency, group.status).set(group.oldest_s)
