"""A lane: the deliveries of one channel that are under way, and the loop that claims more.

Each channel has slots of its own: a mail server that hangs holds none that a webhook could use, and a mail server is
spared the number of connections that suits webhooks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from contracts.types.notice import Channel
from services.notifier.adapters.postgres import claims
from services.notifier.adapters.postgres.claims import Claimed
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.notifier.metrics import IN_FLIGHT
from services.notifier.settings import NotifierSettings
from services.platform.logs import get_logger

__all__ = ["Lane"]

log = get_logger(__name__)


class Lane:
    """`run` ends when the lane is closed; `wake` says that there may be something due.

    size: slots. deadline_s: the longest that one attempt takes, in seconds; the lease is that and a margin.
    begin: starts the attempt at a delivery that was claimed under that id, and returns at once.
    """

    def __init__(
        self,
        channel: Channel,
        settings: NotifierSettings,
        pool: Callable[[], Pool],
        *,
        size: int,
        deadline_s: float,
        begin: Callable[[uuid.UUID, Claimed], None],
    ) -> None:
        self.channel = channel
        self._settings = settings
        self._pool = pool
        self._size = size
        self._lease = timedelta(seconds=deadline_s + settings.lease_margin_s)
        self._begin = begin
        self._held: Counter[str] = Counter()
        self._open = 0
        self._wake = asyncio.Event()
        self._accepting = True
        self._claiming = asyncio.Lock()
        self._claimed_at = time.monotonic()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Claim and begin. A database that is away is waited for."""
        while self._accepting:
            try:
                await self._claim()
            except AWAY as error:
                log.warning("database_away", error=type(error).__name__)
                self._claimed_at = time.monotonic()  # not stuck: a restart would not bring the database back
                await asyncio.sleep(self._settings.poll_s)
                continue
            # Whatever a claim leaves has to wait: for a slot (`ended` wakes), for its time, or for another instance.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._settings.poll_s)

    async def _claim(self) -> None:
        """Take all that is due and that there is room for."""
        self._wake.clear()
        room = self._size - self._open
        if room <= 0:
            return
        async with self._claiming:
            if self._accepting:
                await self._claim_up_to(room)

    async def _claim_up_to(self, room: int) -> None:
        claim_id = uuid.uuid4()
        got = await claims.claim(
            self._pool(),
            claim_id,
            datetime.now(UTC),
            self._lease,
            channel=self.channel,
            per_endpoint=self._settings.max_in_flight_per_endpoint,
            threshold=self._settings.breaker_failures,
            held=self._held,
            limit=room,
        )
        self._claimed_at = time.monotonic()
        self._count(got, 1)
        for claimed in got:
            self._begin(claim_id, claimed)

    def ended(self, done: Sequence[Claimed]) -> None:
        """These have an outcome that is written: their slots are free."""
        if done:
            self._count(done, -1)
            self._wake.set()

    def _count(self, deliveries: Sequence[Claimed], by: int) -> None:
        self._open += by * len(deliveries)
        for delivery in deliveries:
            self._held[delivery.subscription_id] += by
            if not self._held[delivery.subscription_id]:
                del self._held[delivery.subscription_id]
        IN_FLIGHT.labels(self.channel).set(self._open)

    def stuck(self, due: int) -> str | None:
        """What is wrong, if `due` deliveries wait, there is room, and no claim is made."""
        still = time.monotonic() - self._claimed_at
        if due and self._open < self._size and still > self._settings.stall_after_s:
            return f"{due} deliveries by {self.channel} are due, and none was claimed for {still:.0f} s"
        return None

    async def close(self, deadline_s: float) -> None:
        """Claim no more. Returns when no claim is being made: it would bring attempts that have to be waited for."""
        self._accepting = False
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._claiming.acquire(), deadline_s)
