"""Ingest: the real domain in front of the model of Kafka, and senders that repeat what was not acknowledged."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final

from services.ingest.adapters.detainer_table import DetainerTable
from services.ingest.adapters.records import detainer_record, event_record, reject_records
from services.ingest.domain.detainers import decide, id_of, read_command
from services.ingest.domain.events import accept, read_envelope
from services.ingest.domain.refusal import Refused
from services.platform.kafka.outlets import OutRecord
from tests.simulation.clients import ModelOutlet
from tests.simulation.service import Service
from tests.simulation.tables import ModelTable

if TYPE_CHECKING:
    from tests.simulation.world import World

__all__ = ["COMMAND", "EVENT", "Ingest"]

EVENT: Final = "POST /v1/events"
COMMAND: Final = "POST /v1/detainers"
_MAX_FUTURE: Final = timedelta(hours=24)


class Ingest(Service):
    """The one instance. `post` is what a sender calls, from outside."""

    def __init__(self, world: World, name: str, rng: Random) -> None:
        super().__init__(world, name, rng)
        self._outlet = ModelOutlet(world.broker)
        self._table: DetainerTable | None = None

    async def main(self) -> None:
        # The real table, without the subscription that fills it.
        self._table = table = DetainerTable.__new__(DetainerTable)
        table._newest, table._held, table.restored = {}, {}, False
        topic = ModelTable(self.world.broker, "detainers.v1", self.rng)
        self.spawn(topic.run(table._apply))
        await topic.caught_up.wait()
        table.restored = True

    def gone(self) -> None:
        self._table = None

    async def post(self, route: str, source: str, body: bytes) -> int | None:
        """The status of the answer; None where none came."""
        process = self.process
        if process is None or process.dead:
            return None
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serving = self._serve(route, source, body, answer)
        self.world.loop.spawn(process, self._guarded(serving, process), serving)
        with suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.shield(answer), 4.0)
        return None

    async def _serve(self, route: str, source: str, body: bytes, answer: asyncio.Future[int]) -> None:
        table = self._table
        if table is None or not table.restored:
            status = 503
        elif route == EVENT:
            status = await self._event(source, body)
        else:
            status = await self._command(table, source, body)
        answer.set_result(status)

    async def _event(self, source: str, body: bytes) -> int:
        now = self.now()
        try:
            accepted = accept(read_envelope(body), source, now, _MAX_FUTURE)
        except Refused as refused:
            return await self._refuse(EVENT, source, body, refused)
        return 202 if await self._sent([event_record(accepted, now)]) else 503

    async def _command(self, table: DetainerTable, source: str, body: bytes) -> int:
        try:
            command = read_command(body)
        except Refused as refused:
            return await self._refuse(COMMAND, source, body, refused)
        async with table.holding([id_of(command)]):
            now = self.now()
            try:
                version = decide(command, table.get(id_of(command)), now, _MAX_FUTURE)
            except Refused as refused:
                return await self._refuse(COMMAND, source, body, refused)
            if version is None:
                return 202
            record = detainer_record(version, source)
            if not await self._sent([record]):
                return 503
            assert record.value is not None
            table.put(record.key, record.value)
            return 202

    async def _refuse(self, edge: str, source: str, body: bytes, refused: Refused) -> int:
        kept = reject_records(body, refused, source=source, edge=edge, now=self.now())
        return 422 if await self._sent(list(kept)) else 503

    async def _sent(self, records: list[OutRecord]) -> bool:
        return all(error is None for error in await self._outlet.send(records))
