"""Decisions from the table to review.decisions.v1: by whoever asked, and by a sweep for what was left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from contracts.cloudevents import Attributes, encode_headers
from services.notifier.adapters.postgres import decisions as store
from services.notifier.adapters.postgres.decisions import Asked, Recorded
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.notifier.metrics import DECISIONS
from services.platform import tracing
from services.platform.errors import BrokerUnavailable, Unavailable
from services.platform.kafka.outlets import Outlet, OutRecord
from services.platform.logs import get_logger
from services.platform.tracing import Kind

__all__ = ["DECISIONS_TOPIC", "Decisions"]

DECISIONS_TOPIC = "review.decisions.v1"
log = get_logger(__name__)
_BATCH = 500
_SWEEP_S = 1.0
_RETRY_AFTER_S = 5
_ABOUT = {
    "messaging.system": "kafka",
    "messaging.operation.type": "send",
    "messaging.destination.name": DECISIONS_TOPIC,
}


class Decisions:
    """`run` ends only when cancelled.

    left_after_s: an unsent decision that is older, in seconds, has nobody left who is sending it. It has to be longer
        than a request waits for Kafka; sent twice, it is the same decision still.
    """

    def __init__(self, pool: Callable[[], Pool], outlet: Outlet, *, left_after_s: float) -> None:
        self._pool = pool
        self._outlet = outlet
        self._left_after = timedelta(seconds=left_after_s)

    async def decide(self, asked: Asked) -> Recorded | None:
        """Put the decision on record, and return once Kafka has it. None: no such review.

        Raises ReviewClosed, ReviewChanged; BrokerUnavailable: Kafka is away, so that nothing was put on record, or did
        not acknowledge, so that it may have it, or will. Asked again, it is the same decision.
        """
        if (wrong := self._outlet.problem()) is not None:
            raise BrokerUnavailable(f"nothing is decided now: {wrong}", _RETRY_AFTER_S)
        span = tracing.begin(f"send {DECISIONS_TOPIC}", Kind.PRODUCER, asked.traceparent, _ABOUT)
        error: str | None = "not_sent"
        try:
            recorded = await self._decide(msgspec.structs.replace(asked, traceparent=span.traceparent))
            error = None
        finally:
            span.end(error)
        return recorded

    async def _decide(self, asked: Asked) -> Recorded | None:
        recorded = await store.record(self._pool(), asked, datetime.now(UTC))
        if recorded is None or recorded.sent:
            return recorded
        if not await self._send([recorded]):
            raise BrokerUnavailable("Kafka did not acknowledge in time: ask for the same again", _RETRY_AFTER_S)
        return recorded

    async def _send(self, left: Sequence[Recorded]) -> int:
        """How many of them Kafka has now."""
        errors = await self._outlet.send([_record(recorded) for recorded in left])
        sent = [recorded for recorded, error in zip(left, errors, strict=True) if error is None]
        for decision in await store.mark_sent(self._pool(), [r.decision_id for r in sent], datetime.now(UTC)):
            DECISIONS.labels(decision).inc()
        for recorded in sent:
            log.info("review_decided", review_id=recorded.review_id, decision_id=recorded.decision_id)
        return len(sent)

    async def run(self) -> None:
        """Send what was put on record and not sent: its process ended in between, or Kafka did not answer."""
        while True:
            try:
                left = await store.unsent(self._pool(), datetime.now(UTC) - self._left_after, _BATCH)
                if left and self._outlet.problem() is None:
                    log.warning("decisions_left_behind", count=len(left), sent=await self._send(left))
            except AWAY as error:
                log.warning("database_away", error=type(error).__name__)
            except Unavailable as error:
                log.warning("decisions_not_sent", code=error.code)
            await asyncio.sleep(_SWEEP_S)


def _record(recorded: Recorded) -> OutRecord:
    attributes = Attributes(
        id=recorded.decision_id,
        source="sallyport/notifier",
        type=f"sallyport.decision.{recorded.decision}.v1",
        time=recorded.decided_at,
        accepted_at=recorded.decided_at,
    )
    headers = encode_headers(attributes, recorded.traceparent)
    return OutRecord(DECISIONS_TOPIC, recorded.review_id.encode(), bytes(recorded.body), headers)
