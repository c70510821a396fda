"""The relay: events from the outbox to notices.v1, in their order, at least once.

An event is deleted when the brokers have it, in the transaction that locked it: two instances do not send the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from contracts.cloudevents import Attributes, encode_headers
from services.notifier.adapters.postgres.pool import AWAY, Pool
from services.platform.errors import Unavailable
from services.platform.kafka.outlets import Outlet, OutRecord
from services.platform.logs import get_logger

__all__ = ["NOTICES_TOPIC", "Relay"]

NOTICES_TOPIC = "notices.v1"
log = get_logger(__name__)
_BATCH = 1000
_POLL_S = 1.0
_GATHER_S = 0.05
"""How long events gather before they are passed on, in seconds. Nobody waits for them as for a notice, and few large
batches leave the processor to the deliveries."""
_LOCK = 0x5A118

# One relay at a time: two would each take a share, and could send the events of one notice in the wrong order.
_TAKE = """
select o.id, o.event_id, o.notice_id, o.outcome, o.at, o.accepted_at, o.value, n.traceparent
from outbox o left join notices n using (notice_id) order by o.id limit $1
"""


class Relay:
    """`run` ends only when cancelled; `wake` says that something was put into the outbox."""

    def __init__(self, pool: Callable[[], Pool], outlet: Outlet) -> None:
        self._pool = pool
        self._outlet = outlet
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_GATHER_S)
            self._wake.clear()
            try:
                while await self._pass_on():
                    pass
            except AWAY as error:
                log.warning("database_away", error=type(error).__name__)
            except Unavailable as error:
                log.warning("broker_away", code=error.code)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _POLL_S)

    async def _pass_on(self) -> bool:
        """Send one batch; whether there may be more."""
        async with self._pool().acquire() as connection, connection.transaction():
            if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK):
                return False
            rows = await connection.fetch(_TAKE, _BATCH)
            if not rows:
                return False
            # The transaction is open while Kafka is waited for, with a deadline: it locks nothing that others want.
            errors = await self._outlet.send([_record(row) for row in rows])
            sent = [row["id"] for row, error in zip(rows, errors, strict=True) if error is None]
            await connection.execute("delete from outbox where id = any($1::bigint[])", sent)
            return len(sent) == len(rows) == _BATCH


def _record(row: object) -> OutRecord:
    r: dict[str, object] = dict(row)  # type: ignore[call-overload]
    attributes = Attributes(
        id=str(r["event_id"]),
        source="sallyport/notifier",
        type=f"sallyport.notice.{r['outcome']}.v1",
        time=r["at"],  # type: ignore[arg-type]
        accepted_at=r["accepted_at"],  # type: ignore[arg-type]
    )
    headers = encode_headers(attributes, r["traceparent"])  # type: ignore[arg-type]
    return OutRecord(NOTICES_TOPIC, str(r["notice_id"]).encode(), r["value"], headers)  # type: ignore[arg-type]
