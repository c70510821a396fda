"""The dispatcher: claims what is due, attempts it, writes down what came of it.

    wake ──► claim (short transaction) ──► attempts, side by side ──► outcomes gathered ──► finish (short transaction)
      ▲                                                                                        │
      └────────────────────────────────────────────────────────────────────────────────────────┘

No transaction is open while something is sent: a slow endpoint would hold a connection of the pool, and its locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from contracts.types.conflict import Stage
from contracts.types.notice import Channel, NoticeEvent, NoticeOutcome
from services.notifier.adapters.postgres import claims, upkeep
from services.notifier.adapters.postgres.claims import Claimed, Finished
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.notifier.adapters.secrets import SecretBox
from services.notifier.adapters.smtp import MailSender
from services.notifier.adapters.webhook import Answer, WebhookSender
from services.notifier.domain.outcomes import judge
from services.notifier.metrics import AGE, ATTEMPT, DELIVERIES, DUE, IN_FLIGHT, OLDEST
from services.notifier.settings import NotifierSettings
from services.platform.errors import ConfigurationError
from services.platform.logs import get_logger

__all__ = ["Dispatcher"]

log = get_logger(__name__)
_GATHER_S = 0.004
"""How long an outcome waits for others to be written with it; it is what a crash can make an endpoint see twice."""
_SWEEP_S = 2.0


class Dispatcher:
    """See the module. `run` ends only when cancelled; `wake` says that there may be something due.

    pool: returns the pool, once there is one. told: called after events were put into the outbox.
    """

    def __init__(
        self,
        settings: NotifierSettings,
        pool: Callable[[], Pool],
        *,
        webhooks: WebhookSender,
        mail: MailSender,
        secrets: SecretBox,
        told: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._webhooks = webhooks
        self._mail = mail
        self._secrets = secrets
        self._told = told
        self._wake = asyncio.Event()
        self._outcomes: asyncio.Queue[tuple[uuid.UUID, Finished]] = asyncio.Queue()
        self._attempts: set[asyncio.Task[None]] = set()
        self._open = 0
        self._accepting = True
        self._claiming = asyncio.Lock()
        self._claimed_at = time.monotonic()
        self._due = 0
        longest = max(settings.webhook_deadline_s, settings.smtp_deadline_s if mail.configured else 0.0)
        self._lease = timedelta(seconds=longest + settings.lease_margin_s)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Claim and attempt. A database that is away is waited for."""
        while self._accepting:
            try:
                claimed = await self._claim()
            except AWAY as error:
                log.warning("database_away", error=type(error).__name__)
                self._claimed_at = time.monotonic()  # not stuck: a restart would not bring the database back
                await asyncio.sleep(self._settings.poll_s)
                continue
            if claimed:
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._settings.poll_s)

    async def _claim(self) -> bool:
        """Take what there is room for; whether there may be more right now."""
        self._wake.clear()
        room = self._settings.max_in_flight - self._open
        if room <= 0:
            return False
        async with self._claiming:
            return self._accepting and await self._claim_up_to(room)

    async def _claim_up_to(self, room: int) -> bool:
        claim_id = uuid.uuid4()
        got = await claims.claim(
            self._pool(),
            claim_id,
            datetime.now(UTC),
            self._lease,
            per_endpoint=self._settings.max_in_flight_per_endpoint,
            threshold=self._settings.breaker_failures,
            limit=room,
        )
        self._claimed_at = time.monotonic()
        self._open += len(got)
        IN_FLIGHT.set(self._open)
        for claimed in got:
            task = asyncio.create_task(self._attempt(claim_id, claimed))
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)
        return bool(got)

    async def _attempt(self, claim_id: uuid.UUID, claimed: Claimed) -> None:
        started = time.perf_counter()
        try:
            answer = await self._send(claimed)
        except ConfigurationError as error:
            log.error("attempt_impossible", delivery_id=claimed.delivery_id, code=error.code)
            answer = Answer(False, error="secret_unreadable")
        except Exception as error:  # one odd endpoint must not hold its slot, or the process, for ever
            log.error("attempt_broke", delivery_id=claimed.delivery_id, error=type(error).__name__)
            answer = Answer(False, error="internal")
        ATTEMPT.labels(claimed.channel).observe(time.perf_counter() - started)
        DELIVERIES.labels(claimed.channel, answer.error or "delivered").inc()
        self._outcomes.put_nowait((claim_id, self._finished(claimed, answer)))

    async def _send(self, claimed: Claimed) -> Answer:
        if claimed.channel == Channel.WEBHOOK:
            key = self._secrets.signing_key(claimed.secret_encrypted or b"")
            return await self._webhooks.send(claimed.target, key, claimed.notice_id, claimed.body)
        return await self._mail.send(claimed)

    def _finished(self, claimed: Claimed, answer: Answer) -> Finished:
        now = datetime.now(UTC)
        verdict = judge(
            answer.delivered,
            now,
            failures=claimed.failures,
            failures_in_a_row=claimed.failures_in_a_row,
            threshold=self._settings.breaker_failures,
            chance=random.random(),  # noqa: S311 - jitter, no secret
            retry_after_s=answer.retry_after_s,
            scale=self._settings.retry_scale,
        )
        if answer.delivered:
            AGE.labels(claimed.stage).observe((now - claimed.accepted_at).total_seconds())
        outcome = {"delivered": NoticeOutcome.DELIVERED, "failed": NoticeOutcome.FAILED}.get(verdict.status)
        return Finished(
            claimed=claimed,
            delivered=answer.delivered,
            status=verdict.status,
            next_attempt_at=verdict.next_attempt_at,
            finished_at=now,
            http_status=answer.http_status,
            error=answer.error,
            gone=answer.gone,
            rest_until=verdict.rest_until,
            event=event_of(claimed, outcome, now) if outcome else None,
        )

    async def write(self) -> None:
        """Write outcomes, gathered for some milliseconds. Runs beside `run`; retries until the database has them."""
        while True:
            batch = [await self._outcomes.get()]
            await asyncio.sleep(_GATHER_S)
            while not self._outcomes.empty() and len(batch) < 500:
                batch.append(self._outcomes.get_nowait())
            await self._write(batch)
            for _ in batch:
                self._outcomes.task_done()
            self._open -= len(batch)
            IN_FLIGHT.set(self._open)
            self._wake.set()
            if any(finished.event is not None for _, finished in batch):
                self._told()

    async def _write(self, batch: list[tuple[uuid.UUID, Finished]]) -> None:
        while True:
            try:
                held = await claims.finish(
                    self._pool(), [c for c, _ in batch], [f for _, f in batch], self._settings.breaker_failures
                )
            except AWAY as error:
                log.warning("database_away", error=type(error).__name__, count=len(batch))
                await asyncio.sleep(self._settings.poll_s)
                continue
            for _, finished in batch:
                if finished.claimed.delivery_id not in held:
                    # The lease ran out and another instance has it: it is sent twice, and the ledger shows both.
                    log.warning("claim_lost", delivery_id=finished.claimed.delivery_id)
                elif not finished.delivered:
                    log.info(
                        "attempt_failed",
                        delivery_id=finished.claimed.delivery_id,
                        subscription_id=finished.claimed.subscription_id,
                        attempt=finished.claimed.attempt,
                        reason=finished.error,
                        status=finished.status,
                    )
            return

    async def sweep(self) -> None:
        """Give back what a crash left claimed, give up what is too old, and look at what is due. Runs beside `run`."""
        while True:
            try:
                await self._sweep(datetime.now(UTC))
            except AWAY as error:
                log.warning("database_away", error=type(error).__name__)
            await asyncio.sleep(_SWEEP_S)

    async def _sweep(self, now: datetime) -> None:
        pool = self._pool()
        if interrupted := await upkeep.interrupt(pool, now):
            log.warning("attempts_interrupted", count=interrupted)
            self._wake.set()
        await upkeep.end_orphans(pool, now)
        async with pool.acquire() as connection, connection.transaction():
            given_up = await upkeep.expire(connection, now, now - timedelta(days=self._settings.expire_after_days))
            events = [(c, event_of(c, NoticeOutcome.EXPIRED, now)) for c in given_up]
            await upkeep.write_expired(connection, events, now)
        if given_up:
            log.error("deliveries_expired", count=len(given_up))
            self._told()
        self._due, oldest = await upkeep.due(pool, now)
        DUE.set(self._due)
        OLDEST.set(oldest)

    def check(self) -> str | None:
        """For Health.alive: with something due and room to send it, claims are made."""
        still = time.monotonic() - self._claimed_at
        if self._due and self._open < self._settings.max_in_flight and still > self._settings.stall_after_s:
            return f"{self._due} deliveries are due, and none was claimed for {still:.0f} s"
        return None

    async def drain(self, deadline_s: float) -> None:
        """Claim no more; let attempts finish within `deadline_s` seconds and write down what came of them."""
        self._accepting = False
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            # A claim that is being made brings attempts that have to be waited for too.
            await asyncio.wait_for(self._claiming.acquire(), deadline_s / 2)
        if self._attempts:
            _, late = await asyncio.wait(self._attempts, timeout=deadline_s)
            for task in late:
                task.cancel()  # its lease runs out, and the ledger says interrupted
        try:
            await asyncio.wait_for(self._outcomes.join(), max(1.0, deadline_s / 4))
        except TimeoutError:
            log.error("outcomes_not_written", count=self._outcomes.qsize())


_encoder = msgspec.json.Encoder()


def event_of(claimed: Claimed, outcome: NoticeOutcome, now: datetime) -> bytes:
    """The record for notices.v1."""
    return _encoder.encode(
        NoticeEvent(
            notice_id=claimed.notice_id,
            conflict_id=claimed.conflict_id,
            version=claimed.version,
            stage=Stage(claimed.stage),
            recipient=claimed.recipient,
            outcome=outcome,
            at=now,
            delivery_id=claimed.delivery_id,
            channel=Channel(claimed.channel),
            attempts=claimed.attempt,
        )
    )
