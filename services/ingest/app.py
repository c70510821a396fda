"""The composition root of ingest: settings -> adapters -> domain. Nothing else builds objects."""

from __future__ import annotations

import asyncio

from faststream.kafka import KafkaBroker

from services.ingest.adapters.detainer_table import DetainerTable
from services.ingest.adapters.records import CUSTODY_TOPIC, DETAINERS_TOPIC, REJECTS_TOPIC
from services.ingest.adapters.roster_store import STATE_TOPIC, RosterStore, transactional_id
from services.ingest.api.detainers import DetainersApi
from services.ingest.api.events import EventsApi
from services.ingest.api.gate import Gate
from services.ingest.api.rosters import RostersApi
from services.ingest.settings import IngestSettings
from services.platform.health import Health
from services.platform.http.edge import Edge
from services.platform.kafka.clients import leave, make_broker
from services.platform.kafka.doors import Doors
from services.platform.kafka.outlets import Outlet, declare
from services.platform.kafka.replication import Replication
from services.platform.logs import get_logger
from services.platform.registry import RegistryTable
from services.platform.service import Stop, instance_name, run

__all__ = ["IngestService", "describe", "main"]

log = get_logger(__name__)


class IngestService:
    """HTTP in, Kafka out."""

    def __init__(self, settings: IngestSettings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self.health = Health()
        self.broker: KafkaBroker = make_broker(settings)
        self.registry = RegistryTable(self.broker, fatal=stop.fail)
        self.detainers = DetainerTable(self.broker, fatal=stop.fail)
        self.outlet = Outlet(
            settings,
            self.broker,
            [CUSTODY_TOPIC, DETAINERS_TOPIC, REJECTS_TOPIC],
            linger_ms=settings.linger_ms,
        )
        declare(self.broker, [STATE_TOPIC], reads=[STATE_TOPIC])
        self._doors = Doors(settings, "ingest", transactional_ids=[transactional_id("0")])
        gate = Gate(self.registry, self.outlet)
        rosters = RosterStore(settings)
        self._progress = [
            self.registry.topic.watched(settings, self.health, "registry"),
            self.detainers.topic.watched(settings, self.health, "detainers"),
        ]
        self.health.ready("kafka", self._doors.check)
        self.health.ready("registry", self.registry.check)
        self.health.ready("detainers", self.detainers.check)
        self.health.ready("producer", self.outlet.problem)
        self.edge = Edge(
            "Sallyport ingest",
            self.health,
            host=settings.http_host,
            port=settings.http_port,
            routes=[
                EventsApi(gate, settings).route(),
                DetainersApi(gate, self.detainers, settings).route(),
                RostersApi(gate, rosters, settings).route(),
            ],
            max_body_bytes=max(settings.max_body_bytes, settings.max_roster_bytes) + 1,
        )

    async def start(self) -> None:
        await self.edge.start()
        await self._doors.opened()
        self._stop.spawn(self._doors.watch(), "doors")
        await self.outlet.start_in_time()
        await self.broker.start()
        for table, name in ((self.registry, "registry-restore"), (self.detainers, "detainers-restore")):
            self._stop.spawn(table.restore(), name)
        for progress in self._progress:
            self._stop.spawn(progress.run(), "progress")
        self._stop.spawn(Replication("ingest", self.outlet.client).run(), "replication")
        log.info("started")

    async def stop(self, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        # New connections are refused, requests in hand are answered; then what they led to is flushed.
        await self.edge.stop(max(0.1, deadline_s - 2))
        await self.outlet.stop(max(0.1, until - loop.time() - 1))
        await leave(self.broker, max(0.1, until - loop.time()), fatal=self._stop.fail)


def describe() -> IngestService:
    """Ingest as composed from default settings, never started: what its documents are generated from."""
    return IngestService(IngestSettings(allow_plaintext=True, kafka_username=""), Stop())


def main() -> int:
    """Run ingest until SIGTERM; returns the exit status."""
    settings = IngestSettings()
    settings = settings.model_copy(update={"instance": settings.instance or instance_name("ingest")})
    return run("ingest", settings, lambda stop: IngestService(settings, stop))
