"""The detainers as ingest holds them: what is on detainers.v1, the newest version of each.

Held as the bytes that are on the topic, for there may be millions and one in a thousand is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from faststream.kafka import KafkaBroker

from contracts.types.detainer import Detainer
from services.ingest.adapters.records import DETAINERS_TOPIC
from services.ingest.metrics import DETAINERS
from services.platform.kafka.batches import Fatal, Records
from services.platform.kafka.table import WholeTopic
from services.platform.logs import get_logger

__all__ = ["DetainerTable"]

log = get_logger(__name__)
_decode: Final = msgspec.json.Decoder(Detainer).decode


class DetainerTable:
    """Detainer id -> its newest version, in step with the topic; and who may write which detainer now."""

    def __init__(self, broker: KafkaBroker, *, fatal: Fatal) -> None:
        self._newest: dict[bytes, bytes] = {}
        self._held: dict[str, asyncio.Future[None]] = {}
        self.restored = False
        self.topic = WholeTopic(broker, DETAINERS_TOPIC, self._apply, fatal=fatal)

    def __len__(self) -> int:
        return len(self._newest)

    def get(self, detainer_id: str) -> Detainer | None:
        """The newest version, None where there is none."""
        raw = self._newest.get(detainer_id.encode())
        return _decode(raw) if raw is not None else None

    def put(self, key: bytes, value: bytes) -> None:
        """Take a version in, unless a newer one by (occurred_at, sequence) is known (rule 8).

        Raises:
            msgspec.DecodeError, msgspec.ValidationError: it has to be compared, and is not a detainer.
        """
        known = self._newest.get(key)
        if known is not None and known != value and _order(value) < _order(known):
            return
        self._newest[key] = value

    @asynccontextmanager
    async def holding(self, ids: Collection[str]) -> AsyncIterator[None]:
        """Nobody else in this process changes these detainers meanwhile. All or none are held: no deadlock."""
        wanted = set(ids)
        while taken := [self._held[i] for i in wanted if i in self._held]:
            await asyncio.wait(taken)
        released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.update(dict.fromkeys(wanted, released))
        try:
            yield
        finally:
            for i in wanted:
                del self._held[i]
            released.set_result(None)

    async def restore(self) -> None:
        """Return once the table holds all that was in the topic."""
        await self.topic.caught_up()
        self.restored = True

    def check(self) -> str | None:
        """For Health.ready."""
        return None if self.restored else "detainers not read yet"

    async def _apply(self, records: Records) -> None:
        for record in records:
            if record.value is None:
                self._newest.pop(record.key, None)
                continue
            try:
                self.put(record.key, record.value)
            except (msgspec.DecodeError, msgspec.ValidationError):
                # The one that is readable stays. The matcher keeps the other with its bytes in rejects.v1.
                log.error("detainer_unreadable", topic=record.topic, partition=record.partition, offset=record.offset)
        DETAINERS.set(len(self._newest))


def _order(value: bytes) -> tuple[object, int]:
    detainer = _decode(value)
    return (detainer.occurred_at, detainer.sequence)
