"""The dispatcher: has what is due claimed, attempts it, writes down what came of it.

    lane: claim (short transaction) ──► attempts, side by side ──► outcomes gathered ──► finish (short transaction)
      ▲                                                                                        │
      └────────────────────────────────────────────────────────────────────────────────────────┘

No transaction is open while something is sent: a slow endpoint would hold a connection of the pool, and its locks.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from contracts.types.conflict import Stage
from contracts.types.notice import Channel, NoticeEvent, NoticeOutcome
from services.notifier.adapters.lane import Lane
from services.notifier.adapters.postgres import claims, upkeep
from services.notifier.adapters.postgres.claims import Claimed, Finished
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.notifier.adapters.secrets import SecretBox
from services.notifier.adapters.smtp import MailSender
from services.notifier.adapters.webhook import Answer, WebhookSender
from services.notifier.domain.outcomes import judge
from services.notifier.metrics import AGE, ATTEMPT, DELIVERIES, DUE, ENDPOINT_ATTEMPTS, GIVEN_UP, OLDEST
from services.notifier.settings import NotifierSettings
from services.platform import tracing
from services.platform.errors import ConfigurationError
from services.platform.logs import get_logger
from services.platform.tracing import Kind, Span

__all__ = ["Dispatcher"]

log = get_logger(__name__)
_GATHER_S = 0.004
"""How long an outcome waits for others to be written with it; it is what a crash can make an endpoint see twice."""
_SWEEP_S = 2.0
_EXPIRE_S = 60.0
"""Seconds between two looks for what has waited for days: each walks everything that waits."""


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
        self._outcomes: asyncio.Queue[tuple[uuid.UUID, Finished]] = asyncio.Queue()
        self._attempts: set[asyncio.Task[None]] = set()
        self._due: dict[str, int] = {}
        self._expired_at = -_EXPIRE_S
        self._lanes = {
            channel: Lane(channel, settings, pool, size=size, deadline_s=deadline_s, begin=self._begin)
            for channel, size, deadline_s in (
                (Channel.WEBHOOK, settings.max_in_flight, settings.webhook_deadline_s),
                (Channel.EMAIL, settings.max_in_flight_email, settings.smtp_deadline_s),
            )
        }

    def wake(self) -> None:
        # E-mail is in no such hurry: its lane looks every `poll_s`, and is no second claim on the way of a webhook.
        self._lanes[Channel.WEBHOOK].wake()

    async def run(self) -> None:
        """Claim and attempt, over every lane."""
        await asyncio.gather(*(lane.run() for lane in self._lanes.values()))

    def _begin(self, claim_id: uuid.UUID, claimed: Claimed) -> None:
        task = asyncio.create_task(self._attempt(claim_id, claimed))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _attempt(self, claim_id: uuid.UUID, claimed: Claimed) -> None:
        started = time.perf_counter()
        span = _span_of(claimed)
        with tracing.scope(span):
            try:
                answer = await self._send(claimed)
            except ConfigurationError as error:
                log.error("attempt_impossible", delivery_id=claimed.delivery_id, code=error.code)
                answer = Answer(False, error="secret_unreadable")
            except Exception as error:  # one odd endpoint must not hold its slot, or the process, for ever
                log.error("attempt_broke", delivery_id=claimed.delivery_id, error=type(error).__name__)
                answer = Answer(False, error="internal")
        if answer.http_status is not None:
            span.note({"http.response.status_code": answer.http_status})
        span.end(None if answer.delivered else answer.error or "failed")
        ATTEMPT.labels(claimed.channel).observe(time.perf_counter() - started)
        DELIVERIES.labels(claimed.channel, answer.error or "delivered").inc()
        outcome = "delivered" if answer.delivered else "failed"
        ENDPOINT_ATTEMPTS.labels(claimed.recipient, claimed.subscription_id, outcome).inc()
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
        if answer.delivered and claimed.first:
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
            done: defaultdict[str, list[Claimed]] = defaultdict(list)
            for _, finished in batch:
                done[finished.claimed.channel].append(finished.claimed)
            for channel, ended in done.items():
                self._lanes[Channel(channel)].ended(ended)
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
                    if finished.status == "failed":
                        GIVEN_UP.labels(finished.claimed.stage).inc()
                    log.info(
                        "attempt_failed",
                        delivery_id=finished.claimed.delivery_id,
                        subscription_id=finished.claimed.subscription_id,
                        attempt=finished.claimed.attempt,
                        reason=finished.error,
                        status=finished.status,
                        **tracing.log_fields(finished.claimed.traceparent),
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
            self.wake()
        if time.monotonic() - self._expired_at >= _EXPIRE_S:
            await self._expire(pool, now)
            self._expired_at = time.monotonic()
        found = await upkeep.due(pool, now)
        for channel in self._lanes:
            self._due[channel], oldest = found.get(channel, (0, 0.0))
            DUE.labels(channel).set(self._due[channel])
            OLDEST.labels(channel).set(oldest)

    async def _expire(self, pool: Pool, now: datetime) -> None:
        await upkeep.end_orphans(pool, now)
        async with pool.acquire() as connection, connection.transaction():
            given_up = await upkeep.expire(connection, now, now - timedelta(days=self._settings.expire_after_days))
            events = [(c, event_of(c, NoticeOutcome.EXPIRED, now)) for c in given_up]
            await upkeep.write_expired(connection, events, now)
        for claimed in given_up:
            GIVEN_UP.labels(claimed.stage).inc()
        if given_up:
            log.error("deliveries_expired", count=len(given_up))
            self._told()

    def check(self) -> str | None:
        """For Health.alive: with something due and room to send it, claims are made."""
        stuck = [lane.stuck(self._due.get(channel, 0)) for channel, lane in self._lanes.items()]
        return "; ".join(filter(None, stuck)) or None

    async def drain(self, deadline_s: float) -> None:
        """Claim no more; let attempts finish within `deadline_s` seconds and write down what came of them."""
        await asyncio.gather(*(lane.close(deadline_s / 2) for lane in self._lanes.values()))
        if self._attempts:
            _, late = await asyncio.wait(self._attempts, timeout=deadline_s)
            for task in late:
                task.cancel()  # its lease runs out, and the ledger says interrupted
        try:
            await asyncio.wait_for(self._outcomes.join(), max(1.0, deadline_s / 4))
        except TimeoutError:
            log.error("outcomes_not_written", count=self._outcomes.qsize())


def _span_of(claimed: Claimed) -> Span:
    """The span of an attempt. The recipient is not told of it: what it gets is the notice, and nothing of us."""
    if not tracing.is_on():
        return Span(claimed.traceparent)
    return tracing.begin(
        f"deliver {claimed.channel}",
        Kind.CLIENT,
        claimed.traceparent,
        {
            "sallyport.delivery_id": claimed.delivery_id,
            "sallyport.notice_id": claimed.notice_id,
            "sallyport.conflict_id": claimed.conflict_id,
            "sallyport.conflict_version": claimed.version,
            "sallyport.stage": claimed.stage,
            "sallyport.agency": claimed.recipient,
            "sallyport.subscription_id": claimed.subscription_id,
            "sallyport.channel": claimed.channel,
            "sallyport.attempt": claimed.attempt,
        },
    )


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
