"""The matcher's composition root: settings -> adapters -> domain. Nothing else builds objects."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from faststream.kafka import KafkaBroker

from services.matcher.adapters.changelog import STATE_TOPIC
from services.matcher.adapters.clock import SystemClock
from services.matcher.adapters.gauges import Gauges
from services.matcher.adapters.membership import Membership
from services.matcher.adapters.metered import MeteredEngine
from services.matcher.adapters.ownership import CUSTODY_TOPIC, Ownership
from services.matcher.adapters.records import (
    BREAKERS_TOPIC,
    CONFLICTS_TOPIC,
    FEEDS_TOPIC,
    REVIEWS_TOPIC,
    TALLIES_TOPIC,
)
from services.matcher.adapters.writer import KafkaStateLog
from services.matcher.api.search import MAX_BODY_BYTES, SearchApi
from services.matcher.domain.ground import Ground
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.domain.terms import Places
from services.matcher.identity_model import load_model
from services.matcher.metrics import MODEL
from services.matcher.settings import MatcherSettings
from services.platform.errors import ContractViolation
from services.platform.health import Health
from services.platform.http.edge import Edge
from services.platform.kafka.batches import subscribe
from services.platform.kafka.clients import leave, make_broker
from services.platform.kafka.doors import Doors
from services.platform.kafka.outlets import Outlet, declare
from services.platform.kafka.progress import ConsumerProgress
from services.platform.kafka.rejects import REJECTS_TOPIC, unreadable
from services.platform.kafka.replication import Replication
from services.platform.kafka.table import WholeTopic
from services.platform.logs import get_logger
from services.platform.metrics import REJECTS
from services.platform.service import Stop, instance_name, run

__all__ = ["MatcherService", "describe", "main"]

log = get_logger(__name__)


class MatcherService:
    """Custody events meet detainers, both ways round; conflicts and reviews come out."""

    def __init__(self, settings: MatcherSettings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self.health = Health()
        self.broker: KafkaBroker = make_broker(settings)
        engine = MeteredEngine(WeighedEngine(load_model(settings.identity_model)))
        self._clock = SystemClock(settings.clock_skew_limit_s)
        self._ground = Ground(engine, settings.terms, Places(settings.default_time_zone), settings.feed_terms)
        self._ground_read: asyncio.Future[None] | None = None
        self._membership = Membership(settings, consumer=self._custody_consumer, fatal=stop.fail)
        self._ownership = Ownership(
            settings,
            self._ground,
            store=KafkaStateLog(settings, settings.group_id),
            clock=self._clock,
            consumer=self._custody_consumer,
            membership=self._membership,
            spawn=stop.spawn,
            ground_ready=self._ground_ready,
            on_unreadable=self._keep_unreadable,
        )
        self._wholes = [
            WholeTopic(self.broker, whole.topic, partial(self._ownership.broadcast, whole), fatal=stop.fail)
            for whole in self._ownership.wholes
        ]
        self._custody = subscribe(
            self.broker,
            CUSTODY_TOPIC,
            self._ownership.custody,
            fatal=stop.fail,
            group_id=settings.group_id,
            listener=self._ownership,
            max_records=settings.max_poll_records,
            on_taken=self._ownership.taken,
            description="Custody events of the partitions that this instance owns.",
            session_timeout_ms=settings.session_timeout_ms,
            # A heartbeat is also how a member hears of a rebalance: never rarer than at the default timeout.
            heartbeat_interval_ms=min(settings.session_timeout_ms, 10_000) // 4,
            group_instance_id=settings.group_instance_id or None,
            fetch_max_wait_ms=100,
        )
        declare(
            self.broker,
            [CONFLICTS_TOPIC, REVIEWS_TOPIC, BREAKERS_TOPIC, FEEDS_TOPIC, TALLIES_TOPIC, STATE_TOPIC],
            reads=[STATE_TOPIC],
        )
        self._doors = Doors(
            settings, "matcher", groups=[settings.group_id], transactional_ids=[f"{settings.group_id}-0"]
        )
        self._rejects = Outlet(settings, self.broker, [REJECTS_TOPIC])
        custody = ConsumerProgress(
            CUSTODY_TOPIC,
            self._custody_consumer,
            stall_after_s=settings.stall_after_s,
            interval_s=settings.probe_interval_s,
            handled=self._ownership.handled,
        )
        self.health.alive("custody", custody.check)
        self._progress = [
            custody,
            *(
                topic.watched(settings, self.health, whole.name)
                for whole, topic in zip(self._ownership.wholes, self._wholes, strict=True)
            ),
        ]
        self._gauges = Gauges(
            self._ground,
            states=self._ownership.states,
            owned=self._ownership.partitions,
            interval_s=settings.probe_interval_s,
        )
        self.health.ready("kafka", self._doors.check)
        self.health.ready("ground", self._ground_unread)
        self.health.ready("clock", self._clock.check)
        self.health.ready("partitions", self._ownership.ready)
        search = SearchApi(
            self._ground.detainers,
            token=settings.identity_search_token,
            waiting=self._ground_unread,
            states=self._ownership.states,
        )
        self.edge = Edge(
            "Sallyport matcher",
            self.health,
            host=settings.http_host,
            port=settings.http_port,
            routes=[search.route()],
            max_body_bytes=MAX_BODY_BYTES,
            bearer="SALLYPORT_IDENTITY_SEARCH_TOKEN of the matcher.",
        )

    async def start(self) -> None:
        await self.edge.start()
        await self._doors.opened()
        self._stop.spawn(self._doors.watch(), "doors")
        await self._rejects.start_in_time()
        self._ground.detainers.collect()
        self._ground_read = self._stop.spawn(self._read_ground(), "ground-restore")
        await self.broker.start()
        for progress in self._progress:
            self._stop.spawn(progress.run(), "progress")
        self._stop.spawn(self._gauges.run(), "gauges")
        MODEL.labels(self._ground.engine.model).set(1)
        self._stop.spawn(Replication("matcher", self._rejects.client).run(), "replication")
        if self._settings.group_instance_id:
            self._stop.spawn(self._membership.watch(lambda: self._ownership.assigned), "membership")
        log.info("started")

    async def stop(self, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        # Takes no more, and leaves the group, so that others begin to restore; the lanes are finished in any case.
        await leave(self.broker, 0.5 if self._membership.is_taken else deadline_s / 3, fatal=self._stop.fail)
        await self._ownership.finish(max(0.0, until - loop.time() - 1))
        await self._rejects.stop()
        await self.edge.stop(max(0.1, until - loop.time()))

    def _custody_consumer(self) -> AIOKafkaConsumer | None:
        return self._custody.consumer

    async def _read_ground(self) -> None:
        """All that was there at the start. Detainers are indexed in a thread: millions outlast a heartbeat."""
        for topic in self._wholes:
            await topic.caught_up()
        for whole, topic in zip(self._ownership.wholes, self._wholes, strict=True):
            self._ownership.began(whole.name, await topic.positions())
        detainers = self._ground.detainers
        await asyncio.to_thread(detainers.build, detainers.collected())
        detainers.finish()
        log.info("detainers_read", count=len(detainers))

    async def _ground_ready(self) -> None:
        if self._ground_read is None:
            raise AssertionError("a partition was assigned before the start")
        await asyncio.shield(self._ground_read)

    def _ground_unread(self) -> str | None:
        done = self._ground_read is not None and self._ground_read.done()
        return None if done else "registry, detainers and decisions not read yet"

    def _keep_unreadable(self, record: ConsumerRecord, violation: ContractViolation) -> None:
        log.error(violation.reason, topic=record.topic, partition=record.partition, offset=record.offset)
        REJECTS.labels(violation.reason).inc()
        # Every instance reads the record, and each writes the same reject: one id, so it counts once.
        self._stop.spawn(self._reject(record, violation), "reject")

    async def _reject(self, record: ConsumerRecord, violation: ContractViolation) -> None:
        errors = await self._rejects.send([unreadable(record, violation, "matcher", datetime.now(UTC))])
        if errors[0] is not None:
            raise errors[0]


def describe() -> MatcherService:
    """The matcher as composed from default settings, never started: what its documents are generated from."""
    return MatcherService(MatcherSettings(allow_plaintext=True, kafka_username=""), Stop())


def main() -> int:
    """Run the matcher until SIGTERM; returns the exit status."""
    settings = MatcherSettings()
    settings = settings.model_copy(update={"instance": settings.instance or instance_name("matcher")})
    return run("matcher", settings, lambda stop: MatcherService(settings, stop))
