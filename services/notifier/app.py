"""The notifier's composition root: settings -> adapters -> domain. Nothing else builds objects."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

from services.notifier.adapters.decisions import DECISIONS_TOPIC, Decisions
from services.notifier.adapters.dispatcher import Dispatcher
from services.notifier.adapters.gauges import Gauges
from services.notifier.adapters.intake import Intake, PostgresLedger
from services.notifier.adapters.postgres.access import database_of, refusal
from services.notifier.adapters.postgres.pool import NOT_REACHED, Pool, make_pool, revision_problem
from services.notifier.adapters.postgres.schema import migrate
from services.notifier.adapters.relay import NOTICES_TOPIC, Relay
from services.notifier.adapters.reviews import ReviewIntake
from services.notifier.adapters.rotation import Rotation
from services.notifier.adapters.secrets import SecretBox
from services.notifier.adapters.smtp import MailSender
from services.notifier.adapters.taking import Taking
from services.notifier.adapters.webhook import WebhookSender
from services.notifier.api.edge import Desk
from services.notifier.api.notices import Notices
from services.notifier.api.reviews import Reviews
from services.notifier.api.subscriptions import Subscriptions
from services.notifier.settings import NotifierSettings
from services.platform.errors import Unavailable
from services.platform.health import Health
from services.platform.http.edge import Edge
from services.platform.kafka.batches import in_hand, subscribe
from services.platform.kafka.clients import leave, make_broker
from services.platform.kafka.doors import Doors
from services.platform.kafka.outlets import Outlet
from services.platform.kafka.progress import ConsumerProgress
from services.platform.kafka.replication import Replication
from services.platform.logs import get_logger
from services.platform.registry import RegistryTable
from services.platform.service import Stop, instance_name, run

__all__ = ["NotifierService", "describe", "main"]

log = get_logger(__name__)
CONFLICTS_TOPIC = "conflicts.v1"
REVIEWS_TOPIC = "reviews.v1"
_RETRY_S = 1.0


class NotifierService:
    """Conflict versions become notices, and notices are delivered; reviews are shown, and decisions on them sent."""

    def __init__(self, settings: NotifierSettings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self._pool: Pool | None = None
        self._migrated: str | None = "database not looked at yet"
        self.health = Health()
        self.broker: KafkaBroker = make_broker(settings)
        self.registry = RegistryTable(self.broker, fatal=stop.fail)
        self._outlet = Outlet(settings, self.broker, [NOTICES_TOPIC, DECISIONS_TOPIC, "rejects.v1"])
        self._doors = Doors(settings, "notifier", groups=[settings.group_id, f"{settings.group_id}-reviews"])
        secrets = SecretBox([key.get_secret_value() for key in settings.secrets_keys])
        self._webhooks = WebhookSender(
            deadline_s=settings.webhook_deadline_s,
            response_limit=settings.response_limit_bytes,
            connections=settings.max_in_flight,
            allow_private=settings.allow_private_endpoints,
        )
        self._rotation = Rotation(self._connected, secrets, _configured_keys)
        self._relay = Relay(self._connected, self._outlet)
        self._gauges = Gauges(self._connected, settings.probe_interval_s)
        self._dispatcher = Dispatcher(
            settings,
            self._connected,
            webhooks=self._webhooks,
            mail=MailSender(settings),
            secrets=secrets,
            told=self._relay.wake,
        )
        self._intake = Intake(
            PostgresLedger(self._connected),
            lambda: self._conflicts.consumer,
            self._outlet,
            recorded=self._dispatcher.wake,
        )
        self._conflicts = self._subscribe(
            CONFLICTS_TOPIC, self._intake, settings.group_id, "Every conflict version, for its notices."
        )
        self._review_intake = ReviewIntake(self._connected, lambda: self._reviews.consumer, self._outlet)
        # A group of its own: members that read different topics would rebalance each other.
        self._reviews = self._subscribe(
            REVIEWS_TOPIC, self._review_intake, f"{settings.group_id}-reviews", "Every review, for the reviewers."
        )
        self._progress = [
            self.registry.topic.watched(settings, self.health, "registry"),
            self._watch("conflicts", CONFLICTS_TOPIC, self._conflicts, self._intake),
            self._watch("reviews", REVIEWS_TOPIC, self._reviews, self._review_intake),
        ]
        self._decisions = Decisions(
            self._connected, self._outlet, left_after_s=2 * settings.kafka_request_timeout_ms / 1000
        )
        self.health.alive("dispatcher", self._dispatcher.check)
        self.health.ready("kafka", self._doors.check)
        self.health.ready("registry", self.registry.check)
        self.health.ready("database", lambda: self._migrated or self._gauges.check())
        self.health.ready("producer", self._outlet.problem)
        desk = Desk(self.registry, self._connected)
        subscriptions = Subscriptions(desk, settings, secrets, self._webhooks, changed=self._dispatcher.wake)
        notices = Notices(desk, changed=self._wake)
        reviews = Reviews(desk, self._decisions)
        self.edge = Edge(
            "Sallyport notifier",
            self.health,
            host=settings.http_host,
            port=settings.http_port,
            routes=[*subscriptions.routes(), *notices.routes(), *reviews.routes()],
            max_body_bytes=64 * 1024,
        )

    def _subscribe(self, topic: str, taking: Taking[Any], group_id: str, description: str) -> BatchSubscriber:
        settings = self._settings
        return subscribe(
            self.broker,
            topic,
            taking.handle,
            fatal=self._stop.fail,
            group_id=group_id,
            max_records=settings.max_poll_records,
            description=description,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 4,
            fetch_max_wait_ms=100,
        )

    def _watch(self, name: str, topic: str, subscriber: BatchSubscriber, taking: Taking[Any]) -> ConsumerProgress:
        progress = ConsumerProgress(
            topic,
            lambda: subscriber.consumer,
            stall_after_s=self._settings.stall_after_s,
            interval_s=self._settings.probe_interval_s,
            handled=lambda: in_hand(subscriber),
        )
        self.health.alive(name, lambda: None if taking.waiting else progress.check())
        return progress

    async def start(self) -> None:
        await self.edge.start()
        await self._webhooks.start()
        self._pool = await self._connect()
        await self._doors.opened()
        self._stop.spawn(self._doors.watch(), "doors")
        await self._outlet.start_in_time()
        await self.broker.start()
        spawn = self._stop.spawn
        spawn(self.registry.restore(), "registry-restore")
        spawn(self._dispatcher.run(), "dispatcher")
        spawn(self._dispatcher.write(), "outcomes")
        spawn(self._dispatcher.sweep(), "sweep")
        spawn(self._relay.run(), "relay")
        spawn(self._rotation.run(), "rotation")
        spawn(self._gauges.run(), "gauges")
        spawn(self._decisions.run(), "decisions")
        for progress in self._progress:
            spawn(progress.run(), "progress")
        spawn(Replication("notifier", self._outlet.client).run(), "replication")
        log.info("started")

    async def _connect(self) -> Pool:
        """Wait for the database, and for its schema: a restart would bring neither."""
        database = database_of(self._settings)
        while True:
            try:
                if self._settings.migrate_on_start:
                    await migrate(database)
                pool = await make_pool(database, self._settings.database_pool_size)
                self._migrated = await revision_problem(pool)
                if self._migrated is None:
                    return pool
                await pool.close()
            except NOT_REACHED as error:
                shut = refusal(error)
                self._migrated = f"{shut.code}: {shut}" if shut else f"database away: {type(error).__name__}"
            log.warning("database_not_ready", reason=self._migrated, wait_s=_RETRY_S)
            await asyncio.sleep(_RETRY_S)

    async def stop(self, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        await self.edge.stop(min(2.0, deadline_s / 4))
        self._intake.stop()
        self._review_intake.stop()
        await leave(self.broker, deadline_s / 4, fatal=self._stop.fail)
        await self._dispatcher.drain(max(0.5, (until - loop.time()) * 0.6))
        await self._outlet.stop(max(0.1, until - loop.time() - 1))
        await self._webhooks.stop()
        if self._pool is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pool.close(), max(0.5, until - loop.time()))

    def _connected(self) -> Pool:
        if self._pool is None:
            raise Unavailable("the ledger is not connected yet")
        return self._pool

    def _wake(self) -> None:
        self._dispatcher.wake()
        self._relay.wake()


def _configured_keys() -> list[str]:
    """As they are now: a mounted file may have been replaced since the start."""
    return [key.get_secret_value() for key in NotifierSettings().secrets_keys]


def describe() -> NotifierService:
    """The notifier as composed from default settings, never started: what its documents are generated from."""
    settings = NotifierSettings(secrets_keys=[_KEY_FOR_DESCRIBING], allow_plaintext=True, kafka_username="")
    return NotifierService(settings, Stop())


_KEY_FOR_DESCRIBING = "c2FsbHlwb3J0LWRlc2NyaWJlcy1vbmx5LTMyYnl0ZXM="


def main() -> int:
    """Run the notifier until SIGTERM; returns the exit status."""
    settings = NotifierSettings()
    settings = settings.model_copy(update={"instance": settings.instance or instance_name("notifier")})
    return run("notifier", settings, lambda stop: NotifierService(settings, stop))
